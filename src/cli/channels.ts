import { MESSAGE_CHANNELS } from '../core/notify/event.ts';

/** The channels that `notify-test` knows. */
export const TESTED_CHANNELS = [...MESSAGE_CHANNELS, 'uptime_kuma'] as const;

export type TestedChannel = (typeof TESTED_CHANNELS)[number];
