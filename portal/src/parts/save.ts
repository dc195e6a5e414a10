/** Have the browser save what was answered as a file. */
export async function save(asked: Promise<{ data?: unknown }>, name: string): Promise<void> {
  keep((await asked).data as Blob, name);
}

/** Have the browser save what is in memory as a file. */
export function keep(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
