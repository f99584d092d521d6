/** A batch of old rows that are to be removed (lib/retention). */
export interface Removal {
  /** What ended or was replaced before is old. */
  before: Date;
  /** Rows of each kind, at most. */
  limit: number;
  now: Date;
}
