import { describe, expect, it } from 'vitest';
import { editMode, type Mode, type Target } from '../../src/config/edit-mode.ts';
import { parseConfig } from '../../src/config/load.ts';
import { vmid } from '../core/builders.ts';

/** The text of a configuration, switched to observe mode and back. */

const ALL: Target = { kind: 'all' };
const section = (name: string): Target => ({ kind: 'section', name });
const guest = (id: number): Target => ({ kind: 'guest', vmid: vmid(id) });

function edited(text: string, target: Target, mode: Mode): string {
  const result = editMode(text, target, mode);
  if (!result.ok) throw new Error(result.message);
  const loaded = parseConfig(result.text, 'a.yaml', {});
  expect(loaded.ok ? [] : loaded.problems).toEqual([]);
  return result.text;
}

const NEW = `# mine
DEFAULT:
  # Observe mode: nothing is changed. To switch on: lxc-autoscale activate
  scaling_mode: observe
  poll_interval: 60   # a minute
  # when active: scaling_mode: boost

TIER_web:
  lxc_containers: [101]
  # when active: scaling_mode: adaptive
TIER_db:
  lxc_containers: [102]
  scaling_mode: observe
`;

const ACTIVE = `# mine
DEFAULT:
  poll_interval: 60   # a minute
  scaling_mode: boost

TIER_web:
  lxc_containers: [101]
  scaling_mode: adaptive
TIER_db:
  lxc_containers: [102]
  scaling_mode: observe
`;

describe('the whole configuration', () => {
  it('is activated: earlier modes come back, and a tier that only observes itself stays', () => {
    expect(edited(NEW, ALL, 'act')).toBe(ACTIVE);
  });

  it('is observed, and what was there is kept for later', () => {
    const text = edited(ACTIVE, ALL, 'observe');
    expect(text).toContain('  # when active: scaling_mode: boost\n  scaling_mode: observe\n');
    expect(text).toContain(
      'TIER_web:\n  lxc_containers: [101]\n  # when active: scaling_mode: ada',
    );
    expect(edited(text, ALL, 'act')).toBe(ACTIVE);
  });

  it('is observed if it is nothing but a tier, whatever its lines end with', () => {
    const text = 'TIER_a:\r\n    lxc_containers: [101]\r\n';
    expect(edited(text, ALL, 'observe')).toBe(
      'TIER_a:\r\n    lxc_containers: [101]\r\n\r\nDEFAULT:\r\n  scaling_mode: observe\r\n',
    );
    expect(edited('DEFAULT:\n', ALL, 'observe')).toBe('DEFAULT:\n  scaling_mode: observe\n');
  });

  it('is left to its author if it has braces', () => {
    expect(editMode('DEFAULT: {poll_interval: 1}\n', ALL, 'observe')).toMatchObject({
      ok: false,
      message: expect.stringContaining('DEFAULT is written in one line with braces; edit'),
    });
  });
});

describe('a tier', () => {
  it('is activated alone while the rest is observed, with the mode it had', () => {
    const text = edited(NEW, section('TIER_web'), 'act');
    expect(text).toBe(NEW.replace('# when active: scaling_mode: ada', 'scaling_mode: ada'));
    const plain = 'DEFAULT:\n  scaling_mode: observe\nTIER_a:\n  lxc_containers: [101]\n';
    expect(edited(plain, section('TIER_a'), 'act')).toContain(
      'TIER_a:\n  scaling_mode: threshold\n  lxc_containers: [101]\n',
    );
  });

  it('is activated alone though it and all the rest observe by lines of their own', () => {
    const db = 'TIER_db:\n  lxc_containers: [102]\n  scaling_mode: ';
    expect(edited(NEW, section('TIER_db'), 'act')).toContain(`${db}threshold\n`);
    expect(edited(ACTIVE, section('TIER_db'), 'act')).not.toContain(db);
  });

  it('is observed alone', () => {
    const text = edited(ACTIVE, section('TIER_web'), 'observe');
    expect(text).toBe(
      ACTIVE.replace(
        '  scaling_mode: adaptive',
        '  # when active: scaling_mode: adaptive\n  scaling_mode: observe',
      ),
    );
    expect(edited(text, section('TIER_web'), 'act')).toBe(ACTIVE);
  });
});

describe('one guest', () => {
  it('gets a tier, is joined by others, and goes again', () => {
    const one = edited(NEW, guest(104), 'act');
    expect(one).toBe(
      `${NEW}\nTIER_activated:\n  lxc_containers: [104]\n  scaling_mode: threshold\n`,
    );
    const two = edited(one, guest(105), 'act');
    expect(two).toContain('TIER_activated:\n  lxc_containers: [104, 105]\n');
    const back = edited(edited(two, guest(104), 'observe'), guest(105), 'observe');
    expect(back).not.toContain('TIER_activated');
    expect(back).toContain('TIER_observed:\n  lxc_containers: [104, 105]\n  scaling_mode: obs');
  });
});
