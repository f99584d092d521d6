/** Thrown when a manifest, a signature or a file is refused. Nothing may be installed then. */
export class Refused extends Error {
  override readonly name = 'Refused';
}
