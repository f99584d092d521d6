import { expect, it } from 'vitest';
import { hashOf } from '../../../lib/http/idempotency.ts';

it('a request is the same in whatever order its fields come, and another when any value or the order of a list differs', () => {
  const request = { targets: { kind: 'scooter', external_ids: ['S-1', 'S-2'] }, comment: '' };
  const reordered = { comment: '', targets: { external_ids: ['S-1', 'S-2'], kind: 'scooter' } };
  expect(hashOf(reordered)).toBe(hashOf(request));
  expect(hashOf({ ...request, comment: ' ' })).not.toBe(hashOf(request));
  expect(hashOf({ ...request, targets: { kind: 'scooter', external_ids: ['S-2', 'S-1'] } })).not.toBe(hashOf(request));
});
