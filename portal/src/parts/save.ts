/** Have the browser save what was answered as a file. */
export async function save(asked: Promise<{ data?: unknown }>, name: string): Promise<void> {
  const link = document.createElement("a");
  link.href = URL.createObjectURL((await asked).data as Blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
