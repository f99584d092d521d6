import { AsyncLocalStorage } from 'node:async_hooks';
import { Logger } from '@aws-lambda-powertools/logger';

/** Fields beside the constant message: ids and numbers, never bodies, tokens or signed links (G9). */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined | Error>>;

export interface Log {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

const sharedFields = new AsyncLocalStorage<LogFields>();

/** Every line that is logged in the course of `work`, however deep, has these fields too: a request is found by its id. */
export const logWith = <T>(fields: LogFields, work: () => T): T => sharedFields.run(fields, work);

/** One line of JSON each. LOG_LEVEL is the lowest level that is printed (INFO); POWERTOOLS_SERVICE_NAME tells stages apart. */
export const createLog = (): Log => {
  const logger = new Logger({ persistentKeys: { function: process.env['AWS_LAMBDA_FUNCTION_NAME'] } });
  const fieldsOf = (fields: LogFields = {}) => describeErrors({ ...sharedFields.getStore(), ...fields });
  return {
    info: (message, fields) => logger.info(message, fieldsOf(fields)),
    warn: (message, fields) => logger.warn(message, fieldsOf(fields)),
    error: (message, fields) => logger.error(message, fieldsOf(fields)),
  };
};

const describeErrors = (fields: LogFields) =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, value instanceof Error ? describe(value) : value]));

/** With the cause, and the code by which Node and PostgreSQL say what it is; other members may hold what is nobody's business. */
const describe = (error: Error): Record<string, unknown> => {
  const { name, message, stack, cause, code } = error as NodeJS.ErrnoException;
  return { name, message, code, stack, cause: cause instanceof Error ? describe(cause) : undefined };
};
