import { expect, it } from 'vitest';
import { masking } from '../../src/core/secrets.ts';

it('takes secrets out of a text, the ones that are too short to be any left in it', () => {
  const mask = masking(['https://h/token', 'token', '', 'the']);
  expect(mask('to https://h/token: the token, token!')).toBe('to ***: the ***, ***!');
  expect(masking([])('token')).toBe('token');
});
