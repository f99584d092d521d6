import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import type { CompiledQuery, DatabaseConnection, QueryResult } from 'kysely';
import type pg from 'pg';

export interface ConnectionOptions {
  /** Whether statements are prepared: PostgreSQL then parses and plans each of them once. */
  prepares: boolean;
  /** Whether a statement may be sent before the previous one is answered. */
  pipelines: boolean;
}

/**
 * Only this many different statements are prepared, the first ones. A function has some twenty. The server keeps a plan for each, and a list
 * whose filters can be combined in hundreds of ways must not fill its memory.
 */
const maximumPrepared = 50;
const isPlanned = /^\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH)\b/i;
const isChange = /^(?:INSERT|UPDATE|DELETE)$/;

/** A connection for Kysely. BEGIN and statements that are sent ahead need no round trip of their own. */
export class Connection implements DatabaseConnection {
  readonly #client: pg.PoolClient;
  readonly #options: ConnectionOptions;
  readonly #names = new Map<string, string>();
  /** Statements that were sent and that nobody has waited for yet; BEGIN comes first. */
  #ahead: Promise<unknown>[] = [];
  #last: Promise<unknown> = Promise.resolve();
  #isBroken = false;
  #isCorked = false;

  constructor(client: pg.PoolClient, options: ConnectionOptions) {
    this.#client = client;
    this.#options = options;
  }

  /** Waits also for what was sent ahead. @throws the error of the first statement that failed. */
  async executeQuery<Row>({ sql, parameters }: CompiledQuery): Promise<QueryResult<Row>> {
    const { command, rowCount, rows } = await this.#behindAhead(this.#send(sql, parameters));
    return { rows: rows as Row[], ...(isChange.test(command) && { numAffectedRows: BigInt(rowCount ?? 0) }) };
  }

  /** Sends statements without waiting for their answers; the next statement or the COMMIT waits for them. */
  sendAhead(statements: readonly CompiledQuery[]): void {
    for (const { sql, parameters } of statements) this.#toldLater(this.#send(sql, parameters));
  }

  begin(statement: string): void {
    this.#ahead = [];
    this.#toldLater(this.#send(statement, []));
  }

  async commit(): Promise<void> {
    const { command } = await this.#behindAhead(this.#send('commit', []));
    // PostgreSQL answers COMMIT with ROLLBACK when a statement has failed before.
    if (command === 'ROLLBACK') throw new Error('The transaction could not be committed, because one of its statements has failed');
  }

  async rollback(): Promise<void> {
    this.#ahead = [];
    try {
      await this.#send('rollback', []);
    } catch (error) {
      this.#isBroken = true;
      throw error;
    }
  }

  release(): void {
    this.#client.release(this.#isBroken);
  }

  // biome-ignore lint/correctness/useYield: nothing streams
  async *streamQuery(): AsyncIterableIterator<never> {
    throw new Error('Answers are not streamed');
  }

  async #behindAhead<Answer>(answer: Promise<Answer>): Promise<Answer> {
    const ahead = this.#ahead;
    this.#ahead = [];
    return ahead.length === 0 ? answer : ((await firstFailure([...ahead, answer])).at(-1) as Answer);
  }

  #toldLater(sent: Promise<unknown>): void {
    sent.catch(() => {});
    this.#ahead.push(sent);
  }

  async #send(text: string, parameters: readonly unknown[]): Promise<pg.QueryResult> {
    const name = this.#nameOf(text);
    const values = parameters as unknown[];
    const send = () => (name === undefined ? this.#client.query(text, values) : this.#client.query({ name, text, values }));
    if (this.#options.pipelines) {
      this.#writeTogether();
      return send();
    }
    const answer = this.#last.then(send, send);
    this.#last = answer;
    return answer;
  }

  /** All that is sent in this turn of the event loop becomes one write to the network, not one per statement. */
  #writeTogether(): void {
    if (this.#isCorked) return;
    const { stream } = (this.#client as unknown as { connection: { stream: Socket } }).connection;
    this.#isCorked = true;
    stream.cork();
    process.nextTick(() => {
      this.#isCorked = false;
      stream.uncork();
    });
  }

  #nameOf(text: string): string | undefined {
    if (!this.#options.prepares) return undefined;
    const known = this.#names.get(text);
    if (known !== undefined || this.#names.size >= maximumPrepared || !isPlanned.test(text)) return known;
    // The same on every connection.
    const name = createHash('sha1').update(text).digest('base64url');
    this.#names.set(text, name);
    return name;
  }
}

/** Waits until all have ended, so that nothing is still running on a connection that is used for something else next. */
export const firstFailure = async <Answer>(sent: readonly Promise<Answer>[]): Promise<Answer[]> => {
  const outcomes = await Promise.allSettled(sent);
  return outcomes.map((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  });
};
