/**
 * What runs on the far node: a fixed program, started once for a connection and kept. It decides
 * nothing. It is asked for files and answers with their bytes, or with the number of the error.
 * It is Perl, as `pct` itself is: a shell can neither keep every byte nor tell an error from the
 * end of a file, and would start a process for each file.
 *
 * A frame is its length (four bytes, the highest first) and so many bytes: the number of the
 * request, a letter, and texts with a NUL between them. An answer is the same number and records.
 *
 *     L  looks. `f` a file, `d` a directory, `c` its configurations, leases and ledgers too, `g`
 *        the files of a cgroup, `t` those of all cgroups of a directory; `+` names a file of them,
 *        and `?` one of which only is asked whether it is there
 *     W  writes a file of the kernel; `w` anew or `a` behind. With a text to restore, that is
 *        written when the connection ends, as long as nobody has changed it meanwhile. Of a lease
 *        it makes the directory (`m`) and the file (`c`, fails if it is there), writes over it in
 *        place (`o`), and removes it (`d`). A ledger is replaced as a whole (`r`)
 *     X  runs a program, given as its arguments, in a group of its own, for so many seconds
 *     C  ends that program     K  says that somebody is still there
 *     Q  speaks with a monitor of QEMU by its socket: `limit` seconds, `count` answers, the text
 *        that follows its greeting, and a file whose lock keeps it from that. It is answered when
 *        the conversation is over, and all else goes on meanwhile
 *
 * While something is held down or runs, a silence of `SILENCE` seconds is the end, too.
 */
export const FAR_READER = String.raw`
use strict;
use warnings;
use Fcntl;
use POSIX ();
use Socket ();
my ($MOST, $FRAME, $LOOK, $SILENCE, $TALK) = (4 << 20, 1 << 20, 30, 15, 1 << 20);
my $LISTED = qr/^(?:[0-9]+\.(?:conf|lease)|[a-z0-9][a-z0-9-]*\.json)$/;
my ($in, $number, $heard, %held, %life, %talk, $child) = ('', 0, 0);
my $ticks = POSIX::sysconf(POSIX::_SC_CLK_TCK());
binmode STDIN;
binmode STDOUT;
my @usual = qw(/usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin);
%ENV = (
  PATH => join(':', grep({ m{^/} } split(/:/, $ENV{PATH} || '')), @usual),
  HOME => $ENV{HOME} || '/',
  LC_ALL => 'C.UTF-8', LANG => 'C.UTF-8', PERL_BADLANG => '0',
);
chdir '/';
$SIG{PIPE} = 'IGNORE';
$SIG{$_} = \&leave for qw(HUP TERM INT ALRM);

# Seconds of a clock that nobody sets.
sub now { return (POSIX::times())[0] / $ticks }

sub record { my ($kind, @texts) = @_; return $kind . pack('N/a*' x @texts, @texts) }

sub answer {
  my $left = $number . join('', @_);
  $left = pack('N', length $left) . $left;
  my $at = 0;
  while ($at < length $left) {
    my $count = syswrite(STDOUT, $left, length($left) - $at, $at);
    leave() unless defined $count;
    $at += $count;
  }
}

sub slurp {
  my ($path) = @_;
  sysopen(my $file, $path, O_RDONLY | O_NONBLOCK) or return (undef, $! + 0);
  my $bytes = '';
  for (;;) {
    my $count = sysread($file, $bytes, 65536, length $bytes);
    return (undef, $! + 0) unless defined $count;
    return ($bytes) unless $count;
    return (undef, POSIX::EFBIG()) if length $bytes > $MOST;
  }
}

sub file {
  my ($path) = @_;
  my ($bytes, $error) = slurp($path);
  return defined $bytes ? record('F', $path, $bytes) : record('E', $path, $error);
}

sub names {
  my ($path) = @_;
  opendir(my $directory, $path) or return (undef, $! + 0);
  $! = 0;
  my @names = readdir $directory;
  return $! ? (undef, $! + 0) : ([grep { !/^\.\.?$/ } @names]);
}

sub directory {
  my ($path, $names) = @_;
  my @stat = stat $path or return record('E', $path, $! + 0);
  return record('E', $path, POSIX::ENOTDIR()) unless -d _;
  my ($uptime) = split / /, (slurp('/proc/uptime'))[0] // '';
  my @about = ($path, $stat[1], $stat[9], $uptime // '');
  return $names ? record('D', @about, join("\0", @$names)) : record('G', @about);
}

# A directory that is held open keeps its inode from being given to another one.
sub cgroup {
  my ($path, @files) = @_;
  my $inode = (stat $path)[1];
  if (!defined $inode) {
    my $error = $! + 0;
    delete $life{$path};
    return record('E', $path, $error);
  }
  if (!$life{$path} || $life{$path}[0] != $inode) {
    delete $life{$path};
    my $handle;
    $life{$path} = [(stat $handle)[1] // $inode, $handle] if opendir($handle, $path);
  }
  my $all = directory($path);
  for my $name (@files) {
    if ($name !~ /^\?(.*)/s) { $all .= file("$path/$name"); next }
    $all .= lstat("$path/$1") ? record('F', "$path/$1", '') : record('E', "$path/$1", $! + 0);
  }
  return $all;
}

sub look {
  my $all = '';
  # What hangs in a file system ends for a signal that is not caught, and only for that.
  local $SIG{ALRM} = %held ? \&leave : 'DEFAULT';
  alarm $LOOK;
  while (@_) {
    my ($kind, $path) = shift =~ /^(.)(.*)/s;
    my @files;
    push @files, substr(shift, 1) while @_ && $_[0] =~ /^\+/;
    if ($kind eq 'f') { $all .= file($path) }
    elsif ($kind eq 'g') { $all .= cgroup($path, @files) }
    else {
      my ($names, $error) = names($path);
      $all .= $names ? directory($path, $names) : record('E', $path, $error);
      next if $kind eq 'd' || !$names;
      for my $name (@$names) {
        if ($kind eq 'c') { $all .= file("$path/$name") if $name =~ /$LISTED/ }
        else { $all .= cgroup("$path/$name", @files) if $name =~ /^[0-9]+$/ }
      }
    }
  }
  alarm 0;
  return $all;
}

sub put {
  my ($path, $mode, $text) = @_;
  return mkdir($path, 0700) ? 0 : $! + 0 if $mode eq 'm';
  return unlink($path) ? 0 : $! + 0 if $mode eq 'd';
  return replace($path, $text) if $mode eq 'r';
  my %flags = (a => O_APPEND | O_NONBLOCK, c => O_CREAT | O_EXCL, o => 0, w => O_TRUNC);
  my $flags = O_WRONLY | $flags{$mode};
  sysopen(my $file, $path, $flags, 0600) or return $! + 0;
  return defined syswrite($file, $text) ? 0 : $! + 0;
}

sub replace {
  my ($path, $text) = @_;
  my $new = "$path.new";
  unlink $new;
  my $error = put($new, 'c', $text);
  return $error if $error;
  return POSIX::EIO() if (-s $new) != length $text;
  return rename($new, $path) ? 0 : $! + 0;
}

sub inode_around { my ($path) = @_; $path =~ s{/[^/]*$}{}; return (stat $path)[1] // 0 }

sub change {
  my ($path, $mode, $text, $restore) = @_;
  $held{$path} = [inode_around($path), $text, $restore] if length $restore;
  # The file system of the cluster may hang; what hangs there ends for this signal only.
  local $SIG{ALRM} = 'DEFAULT' if $mode =~ /[cdmor]/ && !%held;
  alarm $LOOK if $mode =~ /[cdmor]/;
  my $error = put($path, $mode, $text);
  alarm 0;
  delete $held{$path} if !$error && !length $restore;
  return record('W', $error);
}

sub restore {
  for my $path (keys %held) {
    my ($inode, $text, $before) = @{$held{$path}};
    next if inode_around($path) != $inode;
    my ($now) = slurp($path);
    put($path, 'w', $before) if defined $now && $now eq $text;
  }
  %held = ();
}

sub wait_for { select(undef, undef, undef, $_[0]) }

# A process that has ended, and whose parent has not asked for its end yet, does not run.
sub group_runs {
  my ($group) = @_;
  return 0 unless kill 0, -$group;
  opendir(my $proc, '/proc') or return 1;
  for my $pid (grep { /^[0-9]+$/ } readdir $proc) {
    my ($stat) = slurp("/proc/$pid/stat");
    next unless defined $stat && $stat =~ /^.*[)] ([A-Za-z]) [0-9]+ ([0-9]+) [^)]*$/s;
    return 1 if $2 == $group && $1 !~ /[ZX]/;
  }
  return 0;
}

# True if all of the group has ended.
sub end_group {
  my ($pid) = @_;
  for my $signal ('TERM', 'KILL') {
    kill $signal, -$pid;
    for (1 .. 20) {
      waitpid($pid, POSIX::WNOHANG());
      return 1 unless group_runs($pid);
      wait_for(0.05);
    }
  }
  return 0;
}

sub leave {
  $SIG{$_} = 'IGNORE' for qw(HUP TERM INT ALRM);
  end_group($child) if $child;
  restore();
  POSIX::_exit(0);
}

# Waits for a byte of ours, or for what a program says. Returns what can be read.
sub ready {
  my ($seconds, @others) = @_;
  my $bits = '';
  vec($bits, fileno $_, 1) = 1 for \*STDIN, @others;
  my $count = select($bits, undef, undef, $seconds);
  return () if $count <= 0;
  return grep { vec($bits, fileno $_, 1) } \*STDIN, @others;
}

sub hear {
  my $count = sysread(STDIN, $in, 65536, length $in);
  leave() unless $count;
  $heard = now();
}

# The next frame that has come whole.
sub next_frame {
  return () if length $in < 4;
  my $length = unpack('N', $in);
  leave() if $length > $FRAME;
  return () if length $in < 4 + $length;
  my $frame = substr($in, 4, $length);
  substr($in, 0, 4 + $length) = '';
  my ($id, $kind, $rest) = $frame =~ /^([0-9]+)([A-Z])(.*)/s or leave();
  return ($id, $kind, split(/\0/, $rest, -1));
}

sub run {
  my ($limit, @argv) = @_;
  pipe(my $out, my $out_end) && pipe(my $err, my $err_end) && pipe(my $why, my $why_end)
    or return record('N', $! + 0);
  my $pid = fork;
  return record('N', $! + 0) unless defined $pid;
  if ($pid == 0) {
    setpgrp(0, 0);
    $SIG{$_} = 'DEFAULT' for qw(PIPE HUP TERM INT ALRM);
    POSIX::dup2(POSIX::open('/dev/null', O_RDONLY), 0);
    POSIX::dup2(fileno $out_end, 1);
    POSIX::dup2(fileno $err_end, 2);
    { no warnings; exec { $argv[0] } @argv }
    syswrite($why_end, $! + 0);
    POSIX::_exit(127);
  }
  setpgrp($pid, $pid);
  close $_ for $out_end, $err_end, $why_end;
  if (sysread($why, my $error, 16)) { waitpid($pid, 0); return record('N', $error) }
  $child = $pid;
  my $done = attend($pid, $limit, $out, $err);
  $child = undef;
  return $done;
}

sub attend {
  my ($pid, $limit, $out, $err) = @_;
  my %text = (fileno $out, '', fileno $err, '');
  my ($status, $until) = (undef, now() + $limit);
  $heard = now();
  my @open = ($out, $err);
  for (;;) {
    while (my ($id, $kind) = next_frame()) {
      return ended('cancelled', $pid, \%text, $out, $err) if $kind eq 'C';
      leave() if $kind ne 'K';
    }
    for my $ready (ready(0.1, @open)) {
      if (fileno $ready == 0) { hear(); next }
      my $count = sysread($ready, my $bytes, 65536);
      if (!$count) { @open = grep { $_ != $ready } @open; next }
      my $room = 65536 - length $text{fileno $ready};
      $text{fileno $ready} .= substr($bytes, 0, $room) if $room > 0;
    }
    if (!defined $status && waitpid($pid, POSIX::WNOHANG()) == $pid) {
      $status = $?;
      $until = now() + 1;
    }
    if (defined $status && (!@open || now() >= $until)) {
      my ($kind, $number) = $status & 127 ? ('killed', $status & 127) : ('exited', $status >> 8);
      return record('Z', $kind, $number, @text{fileno $out, fileno $err});
    }
    return ended('timed-out', $pid, \%text, $out, $err) if now() >= $until;
    leave() if now() - $heard > $SILENCE;
  }
}

sub ended {
  my ($kind, $pid, $text, $out, $err) = @_;
  return record('Z', $kind, end_group($pid) ? 0 : 1, $$text{fileno $out}, $$text{fileno $err});
}

sub is_locked {
  my ($locks, $file) = @_;
  my $inode = (stat $file)[1] // return 0;
  my ($all) = slurp($locks);
  return defined $all && $all =~ /:$inode 0 EOF$/m;
}

sub speak {
  my ($id, $path, $limit, $count, $text, $locks, $lock) = @_;
  my %one = (id => $id, path => $path, in => '', text => $text, count => $count);
  return told(\%one, 'locked') if is_locked($locks, $lock);
  return told(\%one, 'failed', POSIX::ENAMETOOLONG()) if length $path > 107;
  my $socket;
  socket($socket, Socket::PF_UNIX(), Socket::SOCK_STREAM(), 0)
    && fcntl($socket, F_SETFL, O_NONBLOCK)
    && connect($socket, Socket::pack_sockaddr_un($path))
    or return told(\%one, 'failed', $! + 0);
  $talk{fileno $socket} = {%one, socket => $socket, until => now() + $limit};
}

# The conversation is over.
sub told {
  my ($one, $how, $error) = @_;
  delete $talk{fileno $$one{socket}} if $$one{socket};
  $number = $$one{id};
  answer(record('S', $$one{path}, $how, $error // 0, time, $$one{in}));
}

# Nothing is said to what does not greet, and it ends with the last answer that was asked for.
sub listen_to {
  my ($one) = @_;
  my $count = sysread($$one{socket}, $$one{in}, 65536, length $$one{in});
  return if !defined $count && $! == POSIX::EAGAIN();
  return told($one, 'ended') unless $count;
  return told($one, 'endless') if length $$one{in} > $TALK;
  return unless $$one{in} =~ /\n/;
  if (length $$one{text}) {
    return told($one, 'whole') unless $$one{in} =~ /^[^\n]*"QMP"/;
    my $said = syswrite($$one{socket}, $$one{text});
    return told($one, 'ended') unless defined $said && $said == length $$one{text};
    $$one{text} = '';
  }
  my $answers = () = $$one{in} =~ /^[ ]*\{[ ]*"(?:return|error)".*\n/mg;
  told($one, 'whole') if $answers >= $$one{count};
}

answer('H');
for (;;) {
  while (my ($id, $kind, @texts) = next_frame()) {
    $number = $id;
    if ($kind eq 'L') { answer(look(@texts)) }
    elsif ($kind eq 'W') { answer(change(@texts)) }
    elsif ($kind eq 'X') { answer(run(@texts)) }
    elsif ($kind eq 'Q') { speak($id, @texts) }
    elsif ($kind !~ /[CK]/) { leave() }
    $heard = now();
  }
  my @until = ((map { $$_{until} } values %talk), %held ? $heard + $SILENCE : ());
  my ($next) = sort { $a <=> $b } @until;
  my $wait = defined $next ? $next - now() : undef;
  for my $ready (ready(defined $wait && $wait < 0 ? 0 : $wait, map { $$_{socket} } values %talk)) {
    if (fileno $ready == 0) { hear() }
    else { listen_to($talk{fileno $ready}) }
  }
  leave() if %held && now() - $heard >= $SILENCE;
  told($_, 'late') for grep { now() >= $$_{until} } values %talk;
}
`;
