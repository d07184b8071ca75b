drop function platform.next_timer(text[]);
drop table platform.timer;
