import { type HandedOver, handOver } from './hand-over.ts';

/**
 * Hands a mail for the local root over to `sendmail`, which every mail system brings. Never
 * rejects.
 */
export const handToSendmail = (
  mail: string,
  env: Readonly<Record<string, string | undefined>>,
  stop: AbortSignal,
): Promise<HandedOver> => handOver(SENDMAIL, mail, env, stop);

const SENDMAIL = {
  file: 'sendmail',
  // -i: a line with only a dot in it does not end the mail.
  args: ['-i', 'root'],
  whereFrom: 'install a mail system such as postfix',
};
