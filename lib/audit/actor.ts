import type { Caller } from '../http/authenticate.ts';

/** Who asks for a change, and in which request. */
export interface Actor {
  subject: string;
  request_id: string;
}

export const actorOf = ({ requestId }: { requestId: string }, { subject }: Pick<Caller, 'subject'>): Actor => ({
  subject,
  request_id: requestId,
});
