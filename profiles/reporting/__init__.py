"""Reports: what runs amount to, as a page to read and as the text of a pull request.

What is in a report is selected here as sections of tables and figures, apart from how it is
rendered: `page` makes HTML of it, `post` Markdown, `pictures` figures.
"""
