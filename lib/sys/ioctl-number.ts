// Numbers of ioctl requests without a direction, as the Xen drivers have them.

/** _IOC(_IOC_NONE, type, number, bytes of the argument). */
export const ioctlNumber = (type: string, number: number, bytes: number): number =>
  bytes * 2 ** 16 + type.charCodeAt(0) * 2 ** 8 + number;
