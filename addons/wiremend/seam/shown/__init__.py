"""What the screens of mitmproxy and mitmweb show.

growing_response.py   the response of a running call, for its flow
rendered_views.py     the texts of content views that the console keeps
choices.py            the choices of an argument of a command
"""
