import type { ProcessContext } from '../app/context.ts';
import { EXIT, type ExitCode } from '../app/exit-codes.ts';
import { plainText } from '../core/plain-text.ts';
import { askControlSocket } from '../os/control-client.ts';
import { CONTROL_SOCKET } from '../os/control-path.ts';
import type { Arguments } from './arguments.ts';
import { changeNote } from './dashboard-note.ts';

/** `dashboard`: where the page is, with a link that logs in once. The daemon makes it. */
export async function dashboard({ note }: Arguments, context: ProcessContext): Promise<ExitCode> {
  const { paths, stdout, stderr } = context;
  if (note === 'remove') return noted(undefined, context);
  const answer = await askControlSocket(paths.at(CONTROL_SOCKET), { command: 'dashboard' });
  const refuse = (why: string): ExitCode => {
    stderr.write(`There is no link: ${plainText(why)}.\n`);
    return EXIT.failure;
  };
  if (answer.kind === 'nobody') return refuse(`no daemon answers (${answer.why})`);
  if (answer.kind === 'forbidden') return refuse(`only root may ask the daemon (${answer.why})`);
  if (answer.kind === 'failed') return refuse(answer.why);
  const { url, error } = answer.content;
  if (typeof url !== 'string') {
    return refuse(
      typeof error === 'string' ? error : 'the daemon is of another version; restart it',
    );
  }
  const [page = ''] = url.split('#', 1);
  stdout.write(`The page:  ${plainText(page)}\n`);
  stdout.write(`Log in as admin, once, within 5 minutes:\n${plainText(url)}\n`);
  return note === 'add' ? noted(page, context) : EXIT.fine;
}

async function noted(page: string | undefined, context: ProcessContext): Promise<ExitCode> {
  const { ok, says } = await changeNote(page, context);
  (ok ? context.stdout : context.stderr).write(`${plainText(says)}\n`);
  return ok ? EXIT.fine : EXIT.failure;
}
