/** A file of an archive. Its bytes follow its header; there are exactly `size_bytes` of them. */
export interface ArchiveEntry {
  name: string;
  size_bytes: number;
}

/** Sizes are written with eight hexadecimal digits. */
export const maximumFileBytes = 2 ** 32 - 1;

/**
 * The header of a file in the `newc` format of cpio: the SVR4 portable format without checksums, because the bytes of a part are known
 * only after they have passed; SWUpdate checks their SHA-256. Time and owner are left out, so that the same entry at the same position makes
 * the same bytes.
 *
 * https://man.freebsd.org/cgi/man.cgi?query=cpio&sektion=5 ("New ASCII Format")
 *
 * @param position of the file in the archive, from 0.
 * @throws RangeError for a size that the format cannot write.
 */
export const cpioHeader = ({ name, size_bytes }: ArchiveEntry, position: number): Buffer => {
  if (!Number.isInteger(size_bytes) || size_bytes < 0 || size_bytes > maximumFileBytes) {
    throw new RangeError(`A file of a package has 0 to ${maximumFileBytes} bytes, not ${size_bytes}`);
  }
  const isTrailer = name === trailerName;
  const nameBytes = Buffer.from(`${name}\0`);
  const fields = {
    ino: isTrailer ? 0 : position + 1,
    mode: isTrailer ? 0 : 0o100644,
    uid: 0,
    gid: 0,
    nlink: 1,
    mtime: 0,
    filesize: size_bytes,
    devmajor: 0,
    devminor: 0,
    rdevmajor: 0,
    rdevminor: 0,
    namesize: nameBytes.length,
    check: 0,
  };
  const hex = Object.values(fields).map((value) => value.toString(16).toUpperCase().padStart(8, '0'));
  const header = Buffer.concat([Buffer.from(`070701${hex.join('')}`), nameBytes]);
  return Buffer.concat([header, cpioPadding(header.length)]);
};

const trailerName = 'TRAILER!!!';

/** The end of an archive. */
export const cpioTrailer = (): Buffer => cpioHeader({ name: trailerName, size_bytes: 0 }, 0);

/** Headers and files are filled up to a multiple of four bytes. */
export const cpioPadding = (length: number): Buffer => Buffer.alloc((4 - (length % 4)) % 4);
