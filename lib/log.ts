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

/** Adds these fields to every line that is logged during `work`, however deep, so that all lines of a request are found by its id. */
export const logWith = <T>(fields: LogFields, work: () => T): T => sharedFields.run(fields, work);

/** Prints each entry as one line of JSON. LOG_LEVEL is the lowest level that is printed (default INFO); POWERTOOLS_SERVICE_NAME tells stages apart. */
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

/** Describes an error with its cause and with the code of Node or PostgreSQL. Other members are left out: they may hold secrets. */
const describe = (error: Error): Record<string, unknown> => {
  const { name, message, stack, cause, code } = error as NodeJS.ErrnoException;
  return { name, message, code, stack, cause: cause instanceof Error ? describe(cause) : undefined };
};
