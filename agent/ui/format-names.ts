// What people call the stream formats.

export const FORMAT_NAMES = {
  xl: "xl save file",
  libxl: "libxl stream",
  libxc: "libxc stream",
  xapi: "xenopsd suspend image",
  legacy: "legacy stream",
  "colo-back": "COLO back channel",
} as const;
