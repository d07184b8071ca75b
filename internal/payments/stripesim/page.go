package stripesim

import (
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// bankPage stands for the page at which a bank asks its customer (3-D Secure).
var bankPage = template.Must(template.New("bank").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Your bank asks</title>
<style>
 body { font: 16px/1.5 system-ui, sans-serif; max-width: 26rem; margin: 12vh auto; padding: 0 1rem; color: #1a1f36 }
 form { display: flex; gap: .75rem; margin-top: 2rem }
 button { flex: 1; padding: .7rem; font: inherit; border: 1px solid #4f566b; border-radius: .4rem; background: #fff; cursor: pointer }
 button.yes { background: #24507a; border-color: #24507a; color: #fff }
 small { color: #4f566b }
</style>
<h1>Is this you?</h1>
{{if .Asking}}<p>A shop would like to take <strong>{{.Amount}}</strong> from your card.</p>
<form method="post">
 <button class="yes" name="outcome" value="pass">Yes, pay</button>
 <button name="outcome" value="fail">No</button>
</form>
{{else}}<p>There is nothing to decide: the payment is <strong>{{.Status}}</strong>.</p>
{{end}}<p><small>A page of the Stripe simulator. No money moves. {{.ID}}</small></p>
`))

func (s *Simulator) pages(mux *http.ServeMux) {
	mux.HandleFunc("GET /_sim/3ds/{id}", s.showBank)
	mux.HandleFunc("POST /_sim/3ds/{id}", s.answerBank)
}

// find looks an intent up in all accounts: buyers have no key.
func (s *Simulator) find(id string, r *http.Request) (*intent, *call) {
	for _, a := range s.accounts {
		if i, ok := a.intents.byID[id]; ok {
			return i, &call{sim: s, acct: a, base: "http://" + r.Host}
		}
	}
	return nil, nil
}

func (s *Simulator) showBank(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keepAppointments()
	i, _ := s.find(r.PathValue("id"), r)
	if i == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = bankPage.Execute(w, map[string]any{"ID": i.ID, "Asking": i.Status == needsAction, "Amount": money(i.Amount, i.Currency), "Status": i.Status})
}

// answerBank sends the buyer back to the shop, as Stripe does: with what to look for.
func (s *Simulator) answerBank(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keepAppointments()
	i, c := s.find(r.PathValue("id"), r)
	if i == nil {
		http.NotFound(w, r)
		return
	}
	outcome := r.FormValue("outcome")
	back := i.returnURL
	if err := c.answerChallenge(i, outcome == "pass"); err != nil || back == "" {
		http.Redirect(w, r, "/_sim/3ds/"+i.ID, http.StatusSeeOther)
		return
	}
	to, err := url.Parse(back)
	if err != nil {
		http.Redirect(w, r, "/_sim/3ds/"+i.ID, http.StatusSeeOther)
		return
	}
	status := map[bool]string{true: "succeeded", false: "failed"}[i.LastPaymentError == nil]
	query := to.Query()
	query.Set("payment_intent", i.ID)
	query.Set("payment_intent_client_secret", i.ClientSecret)
	query.Set("redirect_status", status)
	to.RawQuery = query.Encode()
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
}

// money is an amount for people: "12.99 EUR".
func money(amount int64, currency string) string {
	n, text := digits(currency), strconv.FormatInt(amount, 10)
	if n > 0 {
		text = strings.Repeat("0", max(0, n+1-len(text))) + text
		text = text[:len(text)-n] + "." + text[len(text)-n:]
	}
	return text + " " + strings.ToUpper(currency)
}
