drop table identity.letter_guard;
