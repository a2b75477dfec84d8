// Text for a POSIX shell.

/** One word that means `text`, whatever is in it; as it is where that is safe. */
export function shellWord(text: string): string {
  return /^[\w./:@-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}

/** The path as a person would write it: `~/` for what lies in their home directory. */
export function shellPath(path: string, home: string): string {
  return path.startsWith(`${home}/`) ? `~/${shellWord(path.slice(home.length + 1))}` : shellWord(path)
}
