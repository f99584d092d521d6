import type { SQSClient } from '@aws-sdk/client-sqs';
import type { Queue } from './queue.ts';

/**
 * A queue of SQS for a function that seldom sends: the SDK, a third of its cold start, is loaded with the first message. A function that sends
 * in every call takes `createSqsQueue`: what is loaded at its start is loaded before a call waits for it.
 */
export const createSqsQueueOnDemand = <Message>(queueUrl: string, client?: SQSClient): Queue<Message> => {
  let queue: Promise<Queue<Message>> | undefined;
  return {
    async send(messages, options) {
      queue ??= import('./sqs-queue.ts').then(({ createSqsQueue }) => createSqsQueue<Message>(queueUrl, client));
      await (await queue).send(messages, options);
    },
  };
};
