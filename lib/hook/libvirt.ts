// libvirt's hook of its libxl driver: what it is told, and the images that the driver keeps for
// itself (managed save).
//
//   libxlSavefileHeader (libvirt, src/libxl/libxl_conf.h), 64 bytes in the host's byte order
//    0  magic     16 bytes, "libvirt-xml" LF SP NUL SP CR
//   16  version   u32
//   20  xml_len   u32, of the domain's XML behind the header
//   24  unused    40 bytes
//   64  the XML, then a libxl stream

import { join } from "node:path";
import { RefusedError } from "../base/index.ts";

const MAGIC = new TextEncoder().encode("libvirt-xml\n \0 \r");
const MANAGED_SAVE_FOLDER = "/var/lib/libvirt/libxl/save";
const XML_LENGTH_AT = 20;
/** libvirt itself takes no larger domain description over its wire. */
const XML_BYTES_MAX = 64 * 1024 * 1024;
export const LIBVIRT_HEADER_BYTES = 64;

export interface LibvirtEvent {
  readonly domain: string;
  readonly operation: string;
  readonly subOperation: string;
  readonly extra: string;
}

/** undefined for arguments of another shape. */
export function parseLibvirtEvent(argv: readonly string[]): LibvirtEvent | undefined {
  const [domain, operation, subOperation, extra] = argv;
  if (domain === undefined || operation === undefined || subOperation === undefined) {
    return undefined;
  }
  return { domain, operation, subOperation, extra: extra ?? "-" };
}

/** Where the driver keeps the image of a managed save. */
export function managedSavePath(root: string, { domain }: LibvirtEvent): string {
  if (domain.includes("/")) {
    throw new RefusedError(`Cannot look for the image of domain "${domain}": it is no file name`);
  }
  return join(root, MANAGED_SAVE_FOLDER, `${domain}.save`);
}

/** Where in the image the libxl stream begins. Throws RefusedError for what is no such image. */
export function streamOffset(header: Uint8Array, path: string): number {
  const isOurs =
    header.byteLength === LIBVIRT_HEADER_BYTES &&
    MAGIC.every((byte, index) => header[index] === byte);
  if (!isOurs) {
    throw new RefusedError(`Cannot read "${path}": wanted a save image of libvirt, found another`);
  }
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const xmlBytes = view.getUint32(XML_LENGTH_AT, true);
  if (xmlBytes > XML_BYTES_MAX) {
    throw new RefusedError(
      `Cannot read "${path}": wanted at most ${XML_BYTES_MAX} bytes of XML, found ${xmlBytes}`,
    );
  }
  return LIBVIRT_HEADER_BYTES + xmlBytes;
}
