// Legacy streams by recipe, and the SHA-256 of what Xen's own converter (convert-legacy-stream at
// c447b7308b, under CPython 3.11) makes of each.

import { describe, expect, test } from "bun:test";
import { convertBytes } from "../../helpers/convert-bytes.ts";
import {
  GOLDEN_HVM,
  GOLDEN_PV,
  hvmStream,
  pvStream,
  type Width,
} from "../../helpers/legacy-recipes.ts";

const sha256 = (bytes: Uint8Array): string =>
  new Bun.CryptoHasher("sha256").update(bytes).digest("hex");

const pv = (width: Width, guestWidth: Width) => pvStream({ ...GOLDEN_PV, width, guestWidth });
const hvm = (width: Width) => hvmStream({ ...GOLDEN_HVM, width });

const PV64 = {
  libxc: "d745c56c56165731d642714de96e80e33958ec4915d07696f906c861f6bd5258",
  libxl: "ee5487cd3f4db6ec222645241ba7f9d8378412eda69f2d46ecb0fbe3d308c494",
};
const PV32 = {
  libxc: "6f58f1c8d09bddff83a63132bc11dd1f38eeb46758ebaabadd7c21f0b5ecb483",
  libxl: "c0f7be751fd0f073875d3829388c3fc7f1970189768ca4adf114723c32140b12",
};
const HVM = {
  libxc: "d3807e877b0f92df0e1ce19e7852acf53e418eb8aa4ba08e457ceb00fdbc704e",
  libxl: "c1e3836660cb7458dc873afa13f9e29d650ad162c1d08290c3420ee3eedd1b5c",
};

describe.each([
  // input                   in bytes          out bytes
  ["PV, tool 64, guest 64", pv(8, 8), 29452, 24376, 24408, PV64],
  ["PV, tool 32, guest 64", pv(4, 8), 29384, 24376, 24408, PV64],
  ["PV, tool 64, guest 32", pv(8, 4), 22316, 19608, 19640, PV32],
  ["PV, tool 32, guest 32", pv(4, 4), 22264, 19608, 19640, PV32],
  ["HVM, tool 64", hvm(8), 8366, 8421, 8552, HVM],
  ["HVM, tool 32", hvm(4), 8346, 8421, 8552, HVM],
] as const)("%s", (_, input, inBytes, libxcBytes, libxlBytes, hashes) => {
  test("is the recipe", () => expect(input.byteLength).toBe(inBytes));

  test.each([
    ["libxc", libxcBytes],
    ["libxl", libxlBytes],
  ] as const)("to %s", (to, outBytes) => {
    const { bytes } = convertBytes(input, { to });
    expect(bytes.byteLength).toBe(outBytes);
    expect(sha256(bytes)).toBe(hashes[to]);
  });
});
