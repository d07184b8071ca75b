package mail

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"maps"
	netmail "net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	texttemplate "text/template"
	"unicode"
	"unicode/utf8"
)

// kind is a letter's words. They are text/templates over view.
type kind struct {
	subject string
	body    []string // paragraphs
	button  string   // what the link says; empty for no link
	path    string   // of the link, below the link base
	after   []string // paragraphs below the button
	needs   []string // of Data
}

const ignore = "If this was not you, ignore this mail: nothing has been changed."

var kinds = map[string]kind{
	"verify-email": {
		subject: "Confirm your e-mail address",
		body:    []string{"Please confirm that this is your e-mail address, for your account at {{.Shop}}."},
		button:  "Confirm e-mail address", path: "/verify-email", needs: []string{"token"},
		after: []string{"If you have not signed up at {{.Shop}}, do not confirm it: somebody else has given your address."},
	},
	"confirm-new-email": {
		subject: "Confirm your new e-mail address",
		body:    []string{"Somebody, probably you, wants this to be the e-mail address of an account at {{.Shop}}. It is once you confirm it."},
		button:  "Confirm the new address", path: "/verify-email", needs: []string{"token"},
		after: []string{"The link works once, and not for long. " + ignore},
	},
	"second-factor-removed": {
		subject: "Your second factor was removed",
		body: []string{
			"Somebody who looks after {{.Shop}} has removed the second factor of your account, and every device was signed out. You sign in with the password alone until you set a new one.",
			"If you have not asked for this, choose a new password at once.",
		},
		button: "Choose a new password", path: "/forgot-password",
	},
	"email-change": {
		subject: "Your e-mail address is to be changed",
		body: []string{
			"Somebody who has signed in to your account at {{.Shop}} wants it to have another e-mail address than this one. Nothing is changed until that address is confirmed.",
			"If this was not you, choose a new password at once: that also stops the change.",
		},
		button: "Choose a new password", path: "/forgot-password",
	},
	"email-changed": {
		subject: "Your e-mail address was changed",
		body: []string{
			"Your account at {{.Shop}} has another e-mail address now. This one is not used for it any more.",
			"If this was not you, write to {{.Shop}} at once.",
		},
	},
	"account-exists": {
		subject: "You have an account already",
		body: []string{
			"Somebody, probably you, has just tried to sign up at {{.Shop}} with this e-mail address. It has an account already, so no new one was made.",
			"You can sign in with it. If you have forgotten the password, ask for a new one there.",
		},
		button: "Sign in", path: "/sign-in",
		after: []string{ignore},
	},
	"reset-password": {
		subject: "Choose a new password",
		body:    []string{"Somebody, probably you, has asked for a new password for your account at {{.Shop}}."},
		button:  "Choose a new password", path: "/reset-password", needs: []string{"token"},
		after: []string{"The link works once, and not for long. " + ignore},
	},
	"password-changed": {
		subject: "Your password was changed",
		body: []string{
			"The password of your account at {{.Shop}} has just been changed, and every device was signed out.",
			"If this was not you, choose a new password at once.",
		},
		button: "Choose a new password", path: "/forgot-password",
	},
	"invitation": {
		subject: "{{with .Data.inviter}}{{.}} invites you{{else}}You are invited{{end}} to {{.Shop}}",
		body:    []string{"{{with .Data.inviter}}{{.}} invites you{{else}}You are invited{{end}} to work in {{.Shop}}{{with .Data.role}} as {{.}}{{end}}."},
		button:  "Accept the invitation", path: "/accept-invitation", needs: []string{"token"},
		after: []string{"If you do not know what this is about, ignore this mail."},
	},
	"account-locked": {
		subject: "Somebody tried to sign in to your account",
		body: []string{
			"A wrong password was given for your account at {{.Shop}} several times in a row. To protect it, nobody can sign in for a while{{with .Data.until}}, until {{.}}{{end}}.",
			"If this was you and you have forgotten the password, choose a new one: that also unlocks the account.",
		},
		button: "Choose a new password", path: "/forgot-password",
	},
	"order-short": {
		subject: "Your order {{.Data.order}} at {{.Shop}} was cancelled",
		body: []string{
			"We are sorry: {{.Shop}} does not have enough in stock of what you ordered. Your order {{.Data.order}} was therefore cancelled, all of it.",
			"{{with .Data.refund}}What you paid for it goes back to you: {{.}}.{{else}}You have paid nothing for it. If a payment is still under way, all of it goes back to you.{{end}}",
		},
		button: "Back to the shop", path: "/", needs: []string{"order"},
	},
	"claim-orders": {
		subject: "Add your earlier orders to your account",
		body: []string{
			"{{if eq .Data.orders \"1\"}}1 order was{{else}}{{.Data.orders}} orders were{{end}} placed at {{.Shop}} with this e-mail address and without an account. Somebody who has signed in to your account, probably you, asks to add {{if eq .Data.orders \"1\"}}it{{else}}them{{end}} to it.",
			"Whoever can sign in to the account sees then what was ordered and where it went.",
		},
		button: "Add my orders", path: "/claim-orders", needs: []string{"token", "orders"},
		after: []string{"The link works once, and not for long. If this was not you, do not follow it, and choose a new password: somebody else knows the one of your account."},
	},
}

//go:embed templates
var files embed.FS

// letters turns messages into what is sent.
type letters struct {
	from      netmail.Address
	linkBase  string
	adminBase string
	publicURL string
	html      *template.Template
	text      *texttemplate.Template
}

// sender is who letters come from when nobody says so: they go no further than a folder then.
const sender = "shop@localhost"

func newLetters(o Options) (*letters, error) {
	from, err := netmail.ParseAddress(cmp.Or(o.From, sender))
	if err != nil {
		return nil, fmt.Errorf("mail.from: %w", err)
	}
	html, err := template.ParseFS(files, "templates/letter.html")
	if err != nil {
		return nil, fmt.Errorf("mail templates: %w", err)
	}
	text, err := texttemplate.ParseFS(files, "templates/letter.txt")
	if err != nil {
		return nil, fmt.Errorf("mail templates: %w", err)
	}
	bare := func(base string) string { return strings.TrimRight(base, "/") }
	return &letters{from: *from, linkBase: bare(o.LinkBase), adminBase: bare(o.AdminBase), publicURL: bare(o.PublicURL), html: html, text: text}, nil
}

// complete refuses a message whose letter could not be written.
func (l *letters) complete(m Message) error {
	k, ok := kinds[m.Template]
	if !ok {
		return fmt.Errorf("there is no mail template %q", m.Template)
	}
	for _, name := range k.needs {
		if m.Data[name] == "" {
			return fmt.Errorf("the mail template %s needs %s", m.Template, name)
		}
	}
	return nil
}

// view is what the templates see.
type view struct {
	look
	Subject string
	Name    string
	Body    []string
	Action  string // what the link says
	Link    string
	Token   string
	After   []string
	Data    map[string]string
}

// written is a letter in words.
type written struct{ subject, text, html string }

func (l *letters) write(m Message, shop look) (w written, err error) {
	if err := l.complete(m); err != nil {
		return w, err
	}
	k := kinds[m.Template]
	v := view{look: shop, Name: called(m.Data["name"]), Token: m.Data["token"], Action: k.button, Data: maps.Clone(m.Data)}
	if v.Data["inviter"] != "" {
		v.Data["inviter"] = called(v.Data["inviter"])
	}
	say := func(words string) string {
		if err != nil {
			return ""
		}
		var out bytes.Buffer
		var t *texttemplate.Template
		if t, err = texttemplate.New(m.Template).Parse(words); err == nil {
			err = t.Execute(&out, v)
		}
		return out.String()
	}
	v.Subject = oneLine(say(k.subject))
	for _, p := range k.body {
		v.Body = append(v.Body, say(p))
	}
	for _, p := range k.after {
		v.After = append(v.After, say(p))
	}
	if k.button != "" {
		v.Link = shop.store + k.path
		if m.Staff {
			v.Link = shop.desk + k.path
		}
		// Behind a #, a browser keeps the token to itself: it gets into no log of any server.
		if slices.Contains(k.needs, "token") {
			v.Link += "#token=" + url.QueryEscape(v.Token)
		}
	}
	if err != nil {
		return w, fmt.Errorf("write %s mail: %w", m.Template, err)
	}
	var text, html bytes.Buffer
	if err := l.text.Execute(&text, v); err != nil {
		return w, fmt.Errorf("write %s mail: %w", m.Template, err)
	}
	if err := l.html.Execute(&html, v); err != nil {
		return w, fmt.Errorf("write %s mail: %w", m.Template, err)
	}
	return written{v.Subject, text.String(), html.String()}, nil
}

// oneLine keeps what stands in a header there.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
}

// linked is what programs make a link of, although nobody has written one.
var linked = regexp.MustCompile(`[@/\\<>\[\]]|:\S|[\pL\pN][.。．｡][\pL\pN]{2}`)

// longestCalled is what of a name stands in a letter, in characters.
const longestCalled = 80

// called is a name as a letter may show it: people choose theirs, and a letter of ours must
// carry nobody's message. What is more than a name is left out.
func called(name string) string {
	name = oneLine(name)
	if linked.MatchString(name) || utf8.RuneCountInString(name) > longestCalled || strings.Contains(strings.ToLower(name), "www.") {
		return ""
	}
	return name
}
