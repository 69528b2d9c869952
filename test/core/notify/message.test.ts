import { describe, expect, it } from 'vitest';
import { EVENT_KINDS } from '../../../src/core/notify/event.ts';
import {
  bodyOf,
  eventsIn,
  MAX_LINES,
  type Message,
  merged,
  messageOf,
  saysTheSame,
  titleOf,
} from '../../../src/core/notify/message.ts';
import { fc } from '../../fast-check.ts';
import { at, error, event, message, messages } from './events.ts';

const sumOf = ({ counts }: Message): number =>
  EVENT_KINDS.reduce((sum, kind) => sum + (counts[kind] ?? 0), 0);

describe('a message of several events', () => {
  it('says the worst first, and counts each kind', () => {
    const all = [message('a'), error('b'), message('c')].reduce(merged);
    expect(all.lines.map(({ text }) => text)).toEqual(['b', 'a', 'c']);
    expect(all.severity).toBe('error');
    expect(titleOf(all)).toBe('1 failed, 2 changed');
    expect(bodyOf(all)).toBe('b\na\nc');
  });

  it('says once what is the same', () => {
    const all = [message('a'), message('b'), message('a'), message('a')].reduce(merged);
    expect(bodyOf(all)).toBe('a (3 times)\nb');
    expect(eventsIn(all)).toBe(4);
  });

  it('has so many lines and no more, and counts the rest', () => {
    const many = Array.from({ length: 10_000 }, (_, index) => message(`line ${index}`, {}, index));
    const all = [...many, error('at last')].reduce(merged);
    expect(all.lines).toHaveLength(MAX_LINES);
    expect(all.lines[0]?.text).toBe('at last');
    expect(all.lines[1]?.text).toBe('line 0');
    expect(bodyOf(all)).toMatch(/\nAnd 9981 more, which are in the log\.$/);
    expect(titleOf(all)).toBe('1 failed, 10000 changed');
    expect([all.firstMs, all.lastMs]).toEqual([at(0), at(9999)]);
    expect(JSON.stringify(all).length).toBeLessThan(3000);
  });

  it('cuts a line, and makes visible what has no glyph', () => {
    const [line] = messageOf(event(`a\n\u001b[2J${'x'.repeat(9000)}`), at(0)).lines;
    expect(line?.text).toMatch(/^a\\n\\x1b\[2Jxxx/);
    expect(line?.text.length).toBeLessThanOrEqual(300);
  });

  it('does not count out what there is one of', () => {
    const host = message('h', { kind: 'emergency' });
    expect(titleOf(host)).toBe('host emergency');
    expect(titleOf(merged(host, message('i', { kind: 'emergency' })))).toBe('2 host emergency');
  });

  it.each([
    [['Started, version 1.'], 'started'],
    [['Stopped.'], 'stopped'],
    [['Started, version 1.', 'Stopped.'], 'restarted'],
  ])('says whether the program was started or stopped: %j', (texts, title) => {
    const told = texts.map((text) => message(text, { kind: 'daemon' }));
    expect(titleOf(told.reduce(merged))).toBe(title);
  });

  it('is the same as another one that says the same at another time, more often', () => {
    const twice = merged(message('a'), message('a', {}, 5));
    expect(saysTheSame(twice, message('a', {}, 9))).toBe(true);
    expect(saysTheSame(twice, message('b'))).toBe(false);
    expect(saysTheSame(message('a'), message('a', { severity: 'error' }))).toBe(false);
  });

  it('stands for all events that went into it', () => {
    fc.assert(
      fc.property(messages, messages, (one, other) => {
        const both = merged(one, other);
        expect(eventsIn(both)).toBe(eventsIn(one) + eventsIn(other));
        expect(sumOf(both)).toBe(eventsIn(both));
        expect(both.lines.length).toBeLessThanOrEqual(MAX_LINES);
      }),
    );
  });
});
