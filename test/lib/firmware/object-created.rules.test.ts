import { describe, expect, it } from 'vitest';
import { ObjectCreatedMessage } from '../../../lib/firmware/object-created.ts';
import { objectCreated } from '../../support/s3-events.ts';

const keyOf = (encoded: string) => ObjectCreatedMessage.parse(objectCreated({ encodedKey: encoded, version_id: 'v1' }))[0]?.key;

describe('an event of S3', () => {
  it('names the object and its version', () => {
    expect(ObjectCreatedMessage.parse(objectCreated({ encodedKey: 'firmwares/vega_mcu/1.0/a.bin', version_id: 'v1' }))).toEqual([
      { key: 'firmwares/vega_mcu/1.0/a.bin', version_id: 'v1' },
    ]);
  });

  it.each([
    ['a+b.bin', 'a b.bin'],
    ['a%20b.bin', 'a b.bin'],
    ['1.0%2Bbuild7', '1.0+build7'],
    ['100%25+done', '100% done'],
    ['%252e%252e', '%2e%2e'],
    ['%D0%B2%D0%B5%D1%80%D1%81%D0%B8%D1%8F', 'версия'],
    ['a%3FversionId%3Db%23c', 'a?versionId=b#c'],
    ['plain', 'plain'],
  ])('writes the key %j for %j', (encoded, key) => {
    expect(keyOf(encoded)).toBe(key);
  });

  it('may name several objects, in order, and any way of creating them', () => {
    const Records = [
      ...objectCreated({ encodedKey: 'a', version_id: '1', eventName: 'ObjectCreated:Put' }).Records,
      ...objectCreated({ encodedKey: 'b', version_id: '2', eventName: 'ObjectCreated:CompleteMultipartUpload' }).Records,
      ...objectCreated({ encodedKey: 'c', version_id: '3', eventName: 'ObjectCreated:Copy' }).Records,
    ];
    expect(ObjectCreatedMessage.parse({ Records }).map(({ key }) => key)).toEqual(['a', 'b', 'c']);
  });

  it('is understood in later minor versions, which may have more fields', () => {
    const { Records } = objectCreated({ encodedKey: 'a', version_id: '1' });
    expect(ObjectCreatedMessage.parse({ Records: Records.map((r) => ({ ...r, eventVersion: '2.9', restoreEventData: {} })) })).toHaveLength(
      1,
    );
  });

  it('that only tests the notification names nothing', () => {
    const test = {
      Service: 'Amazon S3',
      Event: 's3:TestEvent',
      Time: '2026-11-24T08:00:00.000Z',
      Bucket: 'b',
      RequestId: 'r',
      HostId: 'h',
    };
    expect(ObjectCreatedMessage.parse(test)).toEqual([]);
  });

  it('whose key has a % that begins no code is taken as it is: nobody has encoded it', () => {
    for (const key of ['100%zz', '100%', 'firmwares/vega_mcu/50% a+b/%4', '%%41']) expect(keyOf(key)).toBe(key);
  });

  it('whose key is encoded, but no text, is refused with the key and the shape', () => {
    expect(() => keyOf('firmwares/%ff')).toThrow(
      /This is an event of S3 that cannot be understood: Records\.0\.s3\.object\.key: is no text in UTF-8 once it is decoded; about .+firmwares\/%ff/,
    );
  });

  it('about the mark of a folder names nothing; other objects of the message are taken', () => {
    expect(ObjectCreatedMessage.parse(objectCreated({ encodedKey: 'firmwares/vega_mcu/', version_id: '1' }))).toEqual([]);
    expect(ObjectCreatedMessage.parse(objectCreated({ encodedKey: 'firmwares/', version_id: '1' }))).toEqual([]);
    const Records = ['firmwares/vega_mcu/1.0%2F', 'a'].flatMap((encodedKey) => objectCreated({ encodedKey, version_id: '1' }).Records);
    expect(ObjectCreatedMessage.parse({ Records })).toEqual([{ key: 'a', version_id: '1' }]);
  });

  it('is understood by way of SNS', () => {
    const Message = JSON.stringify(objectCreated({ encodedKey: 'a+b', version_id: '1' }));
    const notification = { Type: 'Notification', MessageId: 'm', TopicArn: 'arn:aws:sns:eu-central-1:1:t', Message, Timestamp: 't' };
    expect(ObjectCreatedMessage.parse(notification)).toEqual([{ key: 'a b', version_id: '1' }]);
  });

  it('is understood by way of EventBridge, which does not encode the key', () => {
    const object = { key: 'firmwares/vega_mcu/50%41+b/a.bin', size: 5, etag: 'e', 'version-id': 'v1', sequencer: 's' };
    const detail = { version: '0', bucket: { name: 'b' }, object, reason: 'PutObject' };
    const event = { version: '0', id: 'i', 'detail-type': 'Object Created', source: 'aws.s3', account: '1', resources: [], detail };
    expect(ObjectCreatedMessage.parse(event)).toEqual([{ key: 'firmwares/vega_mcu/50%41+b/a.bin', version_id: 'v1' }]);
    const inSns = { Type: 'Notification', TopicArn: 'arn:aws:sns:eu-central-1:1:t', Message: JSON.stringify(event) };
    expect(ObjectCreatedMessage.parse(inSns)).toEqual([{ key: 'firmwares/vega_mcu/50%41+b/a.bin', version_id: 'v1' }]);
  });

  it.each([
    [
      'unknown fields',
      { key: 'a', bucket: 'b' },
      'This is no event of S3, of EventBridge, or of SNS about an object: it has the fields key, bucket',
    ],
    [
      'a text in SNS',
      { Type: 'Notification', TopicArn: 't', Message: 'hello' },
      'This is no event of S3, of EventBridge, or of SNS about an object: it is string',
    ],
    [
      'no version',
      objectCreated({ encodedKey: 'firmwares/x', version_id: 'null' }),
      'This is an event of S3 that cannot be understood: Records.0.s3.object.versionId: the bucket has to be versioned; about "firmwares/x"',
    ],
  ])('that has %s is refused with what it is', (_, message, why) => {
    expect(ObjectCreatedMessage.safeParse(message).error?.issues.map((issue) => issue.message)).toEqual([why]);
  });

  it.each([
    ['nothing', null],
    ['a text', 'Records'],
    ['a list', []],
    ['no records', { Records: [] }],
    ['another event', { Event: 's3:Other' }],
    ['another major version', objectCreated({ encodedKey: 'a', version_id: '1', eventVersion: '3.0' })],
    ['no version of the event', objectCreated({ encodedKey: 'a', version_id: '1', eventVersion: '' })],
    ['a removal', objectCreated({ encodedKey: 'a', version_id: '1', eventName: 'ObjectRemoved:Delete' })],
    ['an object of a bucket without versions', objectCreated({ encodedKey: 'a', version_id: undefined })],
    ['an empty version', objectCreated({ encodedKey: 'a', version_id: '' })],
    ['a version that later uploads overwrite', objectCreated({ encodedKey: 'a', version_id: 'null' })],
  ])('that says %s is refused', (_, message) => {
    expect(ObjectCreatedMessage.safeParse(message).success).toBe(false);
  });
});
