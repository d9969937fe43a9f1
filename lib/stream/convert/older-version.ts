// Version 3 to version 2 of a libxc image, for a receiver before Xen 4.14. What version 3 added is
// the CPUID and MSR policies and the mark behind them. The mark says nothing that version 2 does
// not imply; a policy cannot be left out: the guest would wake up on a processor that looks
// different.

import { hex, RefusedError } from "../../base/index.ts";
import type { Layout, Row } from "../../bytes/index.ts";
import {
  DOMAIN_HEADER,
  DOMAIN_PV,
  IMAGE_HEADER,
  isOptionalType,
  LIBXC,
  libxcRecordOf,
} from "../libxc/index.ts";
import type { HeaderEvent, StreamRecord } from "../walk/index.ts";
import type { Edit } from "../write/index.ts";

const OLDER = 2;

export class OlderVersion implements Edit {
  guest: "pv" | "hvm" | undefined;
  private readonly name: string;

  /** `name` of the input, for messages. */
  constructor(name: string) {
    this.name = name;
  }

  header({ layout }: HeaderEvent, fields: Row<Layout>): Row<Layout> {
    if (layout === DOMAIN_HEADER) this.guest = fields.type === DOMAIN_PV ? "pv" : "hvm";
    if (layout !== IMAGE_HEADER) return fields;
    if (fields.version !== OLDER) return { ...fields, version: OLDER };
    throw new RefusedError(`Cannot convert "${this.name}" to version 2: it is version 2 already`);
  }

  keeps({ layer, type, record, fileOffset }: StreamRecord): boolean {
    if (layer === "legacy") {
      throw new RefusedError(
        `Cannot convert "${this.name}", a suspend image around a legacy stream: xenopsd has the ` +
          "part inside of it converted when it resumes the guest",
      );
    }
    if (layer !== "libxc") return true;
    if (type === LIBXC.staticDataEnd.type) return false;
    const known = libxcRecordOf(type);
    if (known === undefined ? isOptionalType(type) : known.since <= OLDER) return true;
    throw new RefusedError(
      `Cannot convert "${this.name}" to version 2: ${record} at offset ${hex(fileOffset)} has no ` +
        "place there, and " +
        (known === undefined
          ? "nobody knows what would be lost without it"
          : "without it the guest would see another processor than it was started on"),
    );
  }
}
