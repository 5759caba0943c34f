"""From data to pages: ``words.py`` names and rounds, ``markdown.py`` writes the tables, ``chart.py`` draws."""
