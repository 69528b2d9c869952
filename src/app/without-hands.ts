import type { ActingWorld, World } from '../ports.ts';

/** The world for those who only look: what would change the node is not in it. */
export const withoutHands = ({ hands: _, ...world }: ActingWorld): World => world;
