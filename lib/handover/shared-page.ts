// The memory that both sides of a handover see: the word that decides who serves, and a mark for
// each descriptor that the heir has touched, so that a holder who must take over again knows whose
// requests and replies it cannot account for.
//
//   +0     magic "AHND"          +8    the word (machine.ts)
//   +4     version, 1            +12   number of marks
//   +64    the marks, a byte each: 1 once the descriptor was touched
//
// They stand in the order in which the heir is told of the descriptors: first those that it stands
// by for, then those of the final list. There are more marks than descriptors, as nobody knows how
// many will come in between.

import { assert, RefusedError } from "../base/index.ts";
import { createMemfd, Fd, mapShared, resizeFile, type SharedMemory, statOf } from "../sys/index.ts";
import { WORD } from "./machine.ts";

const MAGIC = 0x41484e44;
const VERSION = 1;
const [MAGIC_AT, VERSION_AT, WORD_AT, COUNT_AT] = [0, 1, 2, 3]; // In words of 32 bits.
const MARKS_AT = 64;
const PAGE_BYTES = 4096;

/** Owns the mapping and the file. */
export class SharedPage implements Disposable {
  readonly file: Fd;
  private readonly memory: SharedMemory;

  private constructor(file: Fd, memory: SharedMemory) {
    this.file = file;
    this.memory = memory;
  }

  static create(marks: number): SharedPage {
    const file = createMemfd("agent-handover");
    resizeFile(file, Math.ceil((MARKS_AT + marks) / PAGE_BYTES) * PAGE_BYTES);
    const memory = mapShared(file, "write");
    memory.words[VERSION_AT] = VERSION;
    memory.words[COUNT_AT] = marks;
    memory.words[MAGIC_AT] = MAGIC;
    return new SharedPage(file, memory);
  }

  /** Throws RefusedError for a file that is no such page. The page owns the descriptor. */
  static open(file: Fd, marks: number): SharedPage {
    const { size } = statOf(file.number);
    if (size < MARKS_AT + marks || size % PAGE_BYTES !== 0) {
      throw new RefusedError(`Cannot use the shared page: ${size} bytes for ${marks} marks`);
    }
    const page = new SharedPage(file, mapShared(file, "write"));
    const { words } = page.memory;
    if (words[MAGIC_AT] !== MAGIC || words[VERSION_AT] !== VERSION) {
      throw new RefusedError("Cannot use the shared page: it is no handover page of version 1");
    }
    if (words[COUNT_AT] !== marks) {
      const found = `found one for ${words[COUNT_AT]}`;
      throw new RefusedError(`Cannot use the shared page: wanted ${marks} marks, ${found}`);
    }
    return page;
  }

  /** The holder serves again, unless the heir was first. True when the word is the holder's. */
  takeBack(): boolean {
    const found = Atomics.compareExchange(this.memory.words, WORD_AT, WORD.holder, WORD.back);
    return found !== WORD.heir;
  }

  /** The heir is about to serve, unless the holder was first. True when the word is the heir's. */
  takeOver(): boolean {
    const found = Atomics.compareExchange(this.memory.words, WORD_AT, WORD.holder, WORD.heir);
    return found === WORD.holder;
  }

  touch(index: number, isTouched: boolean): void {
    this.memory.bytes[MARKS_AT + index] = isTouched ? 1 : 0;
  }

  isTouched(index: number): boolean {
    assert(index < this.memory.words[COUNT_AT]!, "a mark belongs to a descriptor of the list");
    return this.memory.bytes[MARKS_AT + index] !== 0;
  }

  [Symbol.dispose](): void {
    this.memory[Symbol.dispose]();
    this.file[Symbol.dispose]();
  }
}
