// What somebody who has just started the local cluster may want to try: commands that can be copied as they are.
import type { Echo } from './echo.ts'
import type { LocalNode } from './local-node.ts'
import { shellPath, shellWord } from './shell.ts'

/** What is said of a node. */
export type Introduced = Pick<LocalNode, 'number' | 'proxy' | 'admin' | 'dir' | 'settingsFile'>

export interface Surroundings {
  readonly nodes: readonly Introduced[]
  readonly echo: Echo
  /** What the command line is called by, e.g. `npm run -s troop --`; works in `directory` if that is given. */
  readonly troop: string
  readonly directory: string | undefined
  readonly home: string
  /** Whether what these commands add is there from the last time. */
  readonly isTried: boolean
  /** Whether keys can be pressed. */
  readonly hasKeys: boolean
}

/** The lines of it. */
export function introduction(surroundings: Surroundings): string[] {
  const { nodes, echo, directory, home, isTried, hasKeys } = surroundings
  const [first] = nodes as [Introduced]
  const trials = [
    ...(isTried ? [beginAnew(surroundings)] : []),
    ...changes(surroundings),
    cluster(surroundings),
    ...(nodes.length > 1 ? losses(surroundings) : []),
    ...(isTried ? [] : [beginAnew(surroundings)]),
  ]
  return [
    '',
    `Troop is running. An upstream to try it with is at ${echo.url}: it answers what it is asked.`,
    `Logs: ${shellPath(first.dir.logFile, home)}, and so on.`,
    '',
    `Try, in another terminal${directory === undefined ? ':' : `, after: cd ${shellWord(directory)}`}`,
    ...trials.flatMap(({ what, command }) => ['', `  # ${what}`, `  ${command}`]),
    '',
    `Ctrl-C stops everything.${hasKeys ? ' r starts the nodes again that have ended.' : ''}`,
  ]
}

interface Trial {
  readonly what: string
  readonly command: string
}

function changes({ nodes, echo }: Surroundings): Trial[] {
  const [first, second = first, third = second] = nodes as [Introduced, Introduced?, Introduced?]
  const others = nodes.length > 1 ? nodes.slice(1, 3) : nodes
  const numbers = others.map(({ number }) => number).join(' and ')
  const reads = others.map(({ proxy }) => `curl -s ${proxy}/echo`)
  const api = `-d name=echo -d request_path=/echo -d upstream_url=${echo.url}`
  return [
    {
      what: `add an API through node 1, and call it at once through node${others.length > 1 ? 's' : ''} ${numbers}`,
      command: [`curl -s ${api} ${first.admin}/apis`, ...reads].join('; '),
    },
    {
      what: 'ask callers for a key: the next call is refused by every node',
      command: `curl -s -d name=key-auth ${second.admin}/apis/echo/plugins; curl -si ${first.proxy}/echo`,
    },
    {
      what: 'give someone a key, and call with it',
      command: [
        `curl -s -d username=bob ${first.admin}/consumers`,
        `curl -s -d key=secret ${third.admin}/consumers/bob/key-auth`,
        `curl -s '${second.proxy}/echo?apikey=secret'`,
      ].join('; '),
    },
  ]
}

function cluster(surroundings: Surroundings): Trial {
  const [first] = surroundings.nodes as [Introduced]
  return {
    what: 'ask node 1 how far each node is, and how fast changes came to it',
    command: asNode(first, 'cluster positions', surroundings),
  }
}

function losses(surroundings: Surroundings): Trial[] {
  const { nodes, echo, hasKeys, home } = surroundings
  const [first] = nodes as [Introduced]
  const last = nodes.at(-1) as Introduced
  const name = `$(cat ${shellPath(last.dir.nameFile, home)})`
  const api = `-d name=late -d request_path=/late -d upstream_url=${echo.url}`
  return [
    {
      what: `end node ${last.number} as a crash would, and add an API: the answer names who does not have it`,
      command: `kill -9 $(cat ${shellPath(last.dir.pidFile, home)}); curl -si ${api} ${first.admin}/apis`,
    },
    {
      what: 'make it leave for good: the next change does not count it any more',
      command: [
        asNode(first, `cluster force-leave ${name}`, surroundings),
        `curl -si -d username=eve ${first.admin}/consumers`,
      ].join('; '),
    },
    {
      what: `bring it back${hasKeys ? ' (or press r here)' : ''}, and call what was added while it was away`,
      command: `${bringBack(last, surroundings)}; curl -s ${last.proxy}/late`,
    },
  ]
}

function beginAnew({ nodes }: Surroundings): Trial {
  const [first] = nodes as [Introduced]
  const added = ['apis/echo', 'apis/late', 'consumers/bob', 'consumers/eve']
  return {
    what: 'take away what these commands add',
    command: `curl -s -X DELETE ${added.map((path) => `${first.admin}/${path}`).join(' ')}`,
  }
}

/** The command that starts a node which has ended, from any terminal. */
export function bringBack(node: Introduced, surroundings: Pick<Surroundings, 'troop' | 'home'>): string {
  return asNode(node, 'start', surroundings)
}

/** In a shell of its own: whatever else is done in that terminal is not meant for this node. */
function asNode(
  { settingsFile }: Introduced,
  command: string,
  { troop, home }: Pick<Surroundings, 'troop' | 'home'>,
): string {
  return `(. ${shellPath(settingsFile, home)}; ${troop} ${command})`
}
