"""What is made of drives to be looked at: the contact sheet, the shipped demo, the table of what rendering costs."""
