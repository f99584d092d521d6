import type { Caller } from '../http/authenticate.ts';

/** Who asks for a change, and in which request. */
export interface Author {
  subject: string;
  request_id: string;
}

export const authorOf = ({ requestId }: { requestId: string }, { subject }: Pick<Caller, 'subject'>): Author => ({
  subject,
  request_id: requestId,
});
