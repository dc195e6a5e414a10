import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The platform serves what is built from the Python package, so that a wheel brings the portal along.
export default defineConfig({
  plugins: [react()],
  build: {
    outDir: "../services/portal/dist",
    emptyOutDir: true,
    // Nothing is inlined: the Content-Security-Policy takes no data: but for images.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
  },
  server: {
    proxy: Object.fromEntries(
      ["inventory", "discovery", "renewal", "provisioner", "notifier"].map((service) => [
        `/${service}/v1`,
        "http://127.0.0.1:8400",
      ]),
    ),
  },
});
