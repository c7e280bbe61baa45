"""Serves trained models: the web page, a WebSocket for programs, HTTP, and Home Assistant's Wyoming protocol.

`serve.serve` runs it all, `site.export_web` writes the page as plain files, `app.make_app` is the web application, and
`streams.StreamPool` runs many streams in a few threads. Needs the extra "serve".
"""
