"""Where mattes come from: synthetic ones, folders in the official layout, cut-outs, videos."""
