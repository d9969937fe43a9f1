// The files of a stream that is being taken apart, in a folder that is not there yet.

import type { Sink } from "../../bytes/index.ts";
import { type Fd, type NewFolder, syncFile } from "../../sys/index.ts";
import { FdSink } from "../output/index.ts";
import { type BytesPlace, HEX_BYTES_MAX, type Line, RECORDS_NAME } from "./manifest.ts";

/** A file that is being written. */
export interface OpenFile {
  readonly name: string;
  readonly sink: Sink;
}

export class FolderWriter implements Disposable {
  private readonly folder: NewFolder;
  private readonly open = new Map<string, { readonly fd: Fd; readonly sink: FdSink }>();
  /** How often each base name was used. */
  private readonly used = new Map<string, number>();

  constructor(folder: NewFolder) {
    this.folder = folder;
  }

  /** The file of that very name, made when it is first wanted. */
  file(name: string): OpenFile {
    let known = this.open.get(name);
    if (known === undefined) {
      const fd = this.folder.createFile(name);
      known = { fd, sink: new FdSink(fd, "file") };
      this.open.set(name, known);
    }
    return { name, sink: known.sink };
  }

  /** A new file: "emulator.bin", the next time "emulator-2.bin". */
  fresh(base: string, ending: string): OpenFile {
    const nth = (this.used.get(base) ?? 0) + 1;
    this.used.set(base, nth);
    return this.file(`${base}${nth === 1 ? "" : `-${nth}`}.${ending}`);
  }

  /** All of it is written: on the disk, and closed. */
  finish({ name }: OpenFile): void {
    const known = this.open.get(name);
    if (known === undefined) return;
    known.sink.flush();
    syncFile(known.fd);
    this.close(name);
  }

  finishAll(): void {
    for (const name of this.open.keys()) this.finish({ name } as OpenFile);
  }

  /** Bytes that are in memory: as hex, or in a new file. */
  keep(bytes: Uint8Array, base: string): BytesPlace {
    if (bytes.byteLength <= HEX_BYTES_MAX) return { hex: bytes.toHex() };
    return this.whole(bytes, { base, ending: "bin" });
  }

  whole(bytes: Uint8Array, { base, ending }: { base: string; ending: string }): { file: string } {
    const file = this.fresh(base, ending);
    file.sink.write(bytes);
    this.finish(file);
    return { file: file.name };
  }

  json(value: unknown, base: string): string {
    const text = new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
    return this.whole(text, { base, ending: "json" }).file;
  }

  line(line: Line): void {
    this.file(RECORDS_NAME).sink.write(new TextEncoder().encode(`${JSON.stringify(line)}\n`));
  }

  private close(name: string): void {
    const known = this.open.get(name);
    known?.sink[Symbol.dispose]();
    known?.fd[Symbol.dispose]();
    this.open.delete(name);
  }

  /** Closes what a failure left open. */
  [Symbol.dispose](): void {
    for (const name of this.open.keys()) this.close(name);
  }
}
