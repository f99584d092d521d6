// SQS on loopback: fauxqs with the queues of serverless.yml, kept in a folder or, for tests, in memory.
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { buildApp } from 'fauxqs';
// fauxqs' own startFauxqs() listens on every interface of the machine; these are the parts it puts together.
import { PersistenceManager } from '../../node_modules/fauxqs/dist/persistence.js';
import { S3Store } from '../../node_modules/fauxqs/dist/s3/s3Store.js';
import { SnsStore } from '../../node_modules/fauxqs/dist/sns/snsStore.js';
import { SqsStore } from '../../node_modules/fauxqs/dist/sqs/sqsStore.js';
import type { QueueDefinition } from '../../ops/stack-definition.ts';

const ACCOUNT = '000000000000';

export interface Queues {
  endpoint: string;
  /** Queue URL by logical id. */
  urls: Record<string, string>;
  /** Queue ARN by logical id. */
  arns: Record<string, string>;
  /** How many messages a queue holds, in whatever state, by logical id. */
  depth(queue: string): number;
  close(): Promise<void>;
}

/** With a directory, messages survive a restart; what was in flight when the last run ended is visible again at once. */
export async function startQueues(options: {
  definitions: QueueDefinition[];
  region: string;
  directory?: string;
  port?: number;
}): Promise<Queues> {
  const sqsStore = new SqsStore();
  sqsStore.host = ''; // queue URLs name the address that was asked, not sqs.<region>.localhost, which does not resolve everywhere
  const persistence = options.directory === undefined ? undefined : new PersistenceManager(options.directory);
  if (persistence && options.directory !== undefined) {
    releaseMessagesInFlight(join(options.directory, 'fauxqs.db'));
    persistence.loadSqsAndSns(sqsStore, new SnsStore());
    sqsStore.persistence = persistence;
    for (const queue of sqsStore.allQueues()) queue.persistence = persistence;
  }

  const app = buildApp({
    logger: false,
    defaultRegion: options.region,
    stores: { sqsStore, snsStore: new SnsStore(), s3Store: new S3Store() },
  });
  if (persistence) app.addHook('onClose', () => persistence.close());
  const endpoint = await app.listen({ host: '127.0.0.1', port: options.port ?? 0 });

  const arnOf = (name: string) => `arn:aws:sqs:${options.region}:${ACCOUNT}:${name}`;
  const byId = new Map(options.definitions.map((queue) => [queue.logical_id, queue]));
  for (const definition of options.definitions) {
    const { name, redrive } = definition;
    const deadLetterQueue = redrive && byId.get(redrive.dead_letter_queue);
    const attributes = {
      VisibilityTimeout: String(definition.visibility_timeout_seconds),
      MessageRetentionPeriod: String(definition.retention_seconds),
      RedrivePolicy: deadLetterQueue
        ? JSON.stringify({ deadLetterTargetArn: arnOf(deadLetterQueue.name), maxReceiveCount: redrive.maximum_receives })
        : '',
    };
    const queue = sqsStore.getQueueByName(name) ?? sqsStore.createQueue(name, `${endpoint}/${ACCOUNT}/${name}`, arnOf(name));
    queue.setAttributes(attributes);
  }

  const perQueue = (value: (name: string) => string) =>
    Object.fromEntries(options.definitions.map(({ logical_id, name }) => [logical_id, value(name)]));
  return {
    endpoint,
    urls: perQueue((name) => `${endpoint}/${ACCOUNT}/${name}`),
    arns: perQueue(arnOf),
    depth(queue) {
      const { ready, delayed, inflight } = sqsStore.inspectQueue(byId.get(queue)?.name ?? queue)?.messages ?? {
        ready: [],
        delayed: [],
        inflight: [],
      };
      return ready.length + delayed.length + inflight.length;
    },
    close: () => app.close(),
  };
}

/**
 * The consumers of a killed run are gone, so nobody will delete the messages that they had received. In the cloud such a message waits for its
 * visibility timeout; here that would look like a standstill of up to half an hour.
 */
function releaseMessagesInFlight(file: string): void {
  const database = new DatabaseSync(file);
  database.exec('UPDATE sqs_messages SET receipt_handle = NULL, visibility_deadline = NULL WHERE receipt_handle IS NOT NULL');
  database.close();
}
