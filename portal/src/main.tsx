import "@mantine/core/styles.css";
import "./portal.css";
import { createTheme, type MantineColorsTuple, MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { BrowserRouter } from "react-router";
import { Refusal } from "./api";
import { App } from "./app";

// Dark enough on white, and light enough on black, to be read as text (WCAG 2.2, 1.4.3).
const LEAF: MantineColorsTuple = [
  "#eaf7ec",
  "#d3ecd7",
  "#a6d8ae",
  "#76c383",
  "#50b160",
  "#38a64a",
  "#2a8f3c",
  "#1f7a30",
  "#186528",
  "#114f1f",
];

const theme = createTheme({
  colors: { leaf: LEAF },
  primaryColor: "leaf",
  // White on it is read by everybody, in either scheme; links have a lighter one of their own in the dark.
  primaryShade: 7,
  autoContrast: true,
  luminanceThreshold: 0.35,
  defaultRadius: "md",
  fontFamily: "system-ui, -apple-system, 'Segoe UI', Roboto, Ubuntu, Cantarell, sans-serif",
  fontFamilyMonospace: "ui-monospace, 'Cascadia Mono', 'DejaVu Sans Mono', monospace",
});

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      // What changes is told as it happens (changes.ts); this is for what nobody tells of.
      refetchInterval: 30_000,
      // What was refused is refused again; only what did not get through is worth another try.
      retry: (failures, error) => !(error instanceof Refusal) && failures < 2,
    },
  },
});

const nonce = document.querySelector<HTMLMetaElement>('meta[name="everleaf-nonce"]')?.content ?? "";
// What keeps the page still behind a dialog writes a style element too, and looks for the nonce here.
Object.assign(globalThis, { __webpack_nonce__: nonce });
const root = document.getElementById("root");
if (root === null) {
  throw new Error("The page has no place for the portal.");
}

createRoot(root).render(
  <StrictMode>
    <MantineProvider theme={theme} defaultColorScheme="auto" getStyleNonce={() => nonce}>
      <QueryClientProvider client={queries}>
        <BrowserRouter>
          <App />
        </BrowserRouter>
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
