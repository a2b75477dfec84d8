// What an import in a plugin finds. `troop` is the installation that runs the plugin, wherever its files lie; and what a
// plugin imports of its own files is of the version that it is itself (fingerprint.ts).
import { createRequire, registerHooks } from 'node:module'
import { dirname, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** In the query of a module's address, the version that it is of. */
const versionKey = 'version'

/** The sources from a checkout, what was made of them from the package, as this file is. */
const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'

/** What the package offers by name, and where it is. */
const offered: ReadonlyMap<string, string> = new Map([
  ['troop', new URL(`../index.${extension}`, import.meta.url).href],
  ['troop/testing', new URL(`../testing/testing.${extension}`, import.meta.url).href],
])

/** Each thread has modules of its own, and hooks for them. */
const thread = { isHooked: false }

/** From now on, and in this thread, plugins find Troop. */
export function offerModules(): void {
  if (thread.isHooked) return
  thread.isHooked = true
  registerHooks({
    resolve(specifier, context, next) {
      const url = offered.get(specifier)
      if (url !== undefined) return { url, shortCircuit: true }
      const resolved = next(specifier, context)
      const version = isOwnImport(specifier, context.conditions) ? versionOf(context.parentURL) : null
      return version === null || !resolved.url.startsWith('file:')
        ? resolved
        : { ...resolved, url: versioned(resolved.url, version) }
    },
  })
}

/** For a process that is to have the same from its first module on: what `node --import` takes. */
export function offeringModule(): string {
  const self = JSON.stringify(import.meta.url)
  return `data:text/javascript,import{offerModules}from${encodeURIComponent(self)};offerModules()`
}

/** The address of a plugin's first module, at a version of its files. */
export function addressOf(path: string, version: string): string {
  return versioned(pathToFileURL(path).href, version)
}

/**
 * Forgets what was required, rather than imported, from the folder of `path`: such modules have no address with a
 * version, and are read again once somebody asks for them.
 */
export function forgetRequired(path: string): void {
  const { cache } = createRequire(path)
  const folder = dirname(path) + sep
  for (const file of Object.keys(cache)) {
    if (file.startsWith(folder) && !file.includes(`${sep}node_modules${sep}`)) delete cache[file]
  }
}

/** What is required is found by its path alone. */
function isOwnImport(specifier: string, conditions: readonly string[]): boolean {
  return /^(\.{0,2}\/|file:)/.test(specifier) && conditions.includes('import')
}

function versionOf(url: string | undefined): string | null {
  return url?.startsWith('file:') && url.includes(versionKey)
    ? new URL(url).searchParams.get(versionKey)
    : null
}

function versioned(url: string, version: string): string {
  if (fileURLToPath(url).includes(`${sep}node_modules${sep}`)) return url
  const address = new URL(url)
  address.searchParams.set(versionKey, version)
  return address.href
}
