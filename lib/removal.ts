/** A batch of old rows that are to be removed (lib/retention). */
export interface Removal {
  /** Rows that ended or were replaced before this are old. */
  before: Date;
  /** Rows of each kind, at most. */
  limit: number;
  now: Date;
}
