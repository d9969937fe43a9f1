// Where the records of an xl stream begin, and how many checkpoints are complete there, by a reader
// of its own.

export interface RecordEdge {
  readonly offset: number;
  readonly checkpoints: number;
}

/** Every offset that a record begins at, and the end of the last one. */
export function recordEdges(bytes: Uint8Array): RecordEdge[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf("LibxlFmt");
  const edges: RecordEdge[] = [];
  let [offset, inLibxl, checkpoints] = [start + 16, true, 0];
  while (offset + 8 <= bytes.byteLength) {
    edges.push({ offset, checkpoints });
    const type = view.getUint32(offset, true);
    const length = view.getUint32(offset + 4, true);
    offset += 8 + Math.ceil(length / 8) * 8;
    if (inLibxl && type === 1) {
      inLibxl = false;
      offset += 40; // The image and domain headers.
    } else if (inLibxl && type === 4) {
      inLibxl = false;
      checkpoints++;
    } else if (!inLibxl && type === 0xe) inLibxl = true;
  }
  edges.push({ offset, checkpoints });
  return edges;
}
