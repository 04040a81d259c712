"""Personas: other people's SCEP clients, who send what those send and judge as those judge.

Each stands in a file of ``known``; what no file can say is code beside it.
"""

from app.personas.conversation import Objection, Reach, Session, judge
from app.personas.persona import Persona, Stage, personas
from app.personas.session import enrol, look, renew

PERSONAS = personas()

__all__ = [
    "PERSONAS",
    "Objection",
    "Persona",
    "Reach",
    "Session",
    "Stage",
    "enrol",
    "judge",
    "look",
    "renew",
]
