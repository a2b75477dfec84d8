// The commands, by the words that a person types; oclif writes a blank between them as a colon. All are loaded with
// every call, so what is big, the node itself above all, is imported by a command when it runs.
import { Check } from './check.ts'
import { ClusterForceLeave } from './cluster/force-leave.ts'
import { ClusterKeygen } from './cluster/keygen.ts'
import { ClusterMembers } from './cluster/members.ts'
import { ClusterPositions } from './cluster/positions.ts'
import { ClusterReachability } from './cluster/reachability.ts'
import { ClusterVerify } from './cluster/verify.ts'
import { Dev } from './dev.ts'
import { MigrationsList } from './migrations/list.ts'
import { MigrationsReset } from './migrations/reset.ts'
import { MigrationsUp } from './migrations/up.ts'
import { PluginCreate } from './plugin/create.ts'
import { PluginTest } from './plugin/test.ts'
import { Quit } from './quit.ts'
import { Reload } from './reload.ts'
import { Restart } from './restart.ts'
import { Start } from './start.ts'
import { Status } from './status.ts'
import { Stop } from './stop.ts'
import { Version } from './version.ts'

export const commands = {
  start: Start,
  restart: Restart,
  reload: Reload,
  stop: Stop,
  quit: Quit,
  status: Status,
  check: Check,
  'cluster:members': ClusterMembers,
  'cluster:positions': ClusterPositions,
  'cluster:reachability': ClusterReachability,
  'cluster:verify': ClusterVerify,
  'cluster:force-leave': ClusterForceLeave,
  'cluster:keygen': ClusterKeygen,
  'migrations:list': MigrationsList,
  'migrations:up': MigrationsUp,
  'migrations:reset': MigrationsReset,
  'plugin:create': PluginCreate,
  'plugin:test': PluginTest,
  version: Version,
  dev: Dev,
}
