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

  it('whose key is not well encoded is refused', () => {
    expect(() => keyOf('100%zz')).toThrow();
    expect(() => keyOf('%ff')).toThrow();
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
