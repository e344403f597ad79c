package traffic

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
)

// Visitors are people on a publisher's pages: they ask for an ad in a placement,
// some see it, some of those click.
type Visitors struct {
	DeliveryURL string   // http://host:port
	Placements  []string // ids, one drawn for each visit
	SeenShare   float64  // of decisions that become impressions, 0 to 1
	ClickShare  float64  // of impressions that are clicked, 0 to 1
	Client      *http.Client
}

// Outcome is what one visit came to.
type Outcome struct {
	Filled, Seen, Clicked bool
}

// agents are what the visitors browse with, common ones of each device type.
var agents = []string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
	"Mozilla/5.0 (iPad; CPU OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.7 Mobile/15E148 Safari/604.1",
}

// networks are the address blocks set aside for documentation (RFC 5737); the
// demo's geography places them in different countries.
var networks = []string{"203.0.113.%d", "198.51.100.%d", "192.0.2.%d"}

var sections = []string{"city", "food", "travel", "sports", "culture"}

type decisionRequest struct {
	Placements []placementID       `json:"placements"`
	Keywords   map[string][]string `json:"keywords"`
	Device     struct {
		UA string `json:"ua"`
		IP string `json:"ip"`
	} `json:"device"`
}

type placementID struct {
	ID string `json:"id"`
}

type decisionResponse struct {
	Decisions []struct {
		NoFill      string   `json:"no_fill"`
		Click       string   `json:"click"`
		Impressions []string `json:"impressions"`
	} `json:"decisions"`
}

// Visit is one page view of one visitor. Errors are of the transport or of an
// answer that is not 200; a decision without an ad is no error.
func (v *Visitors) Visit(ctx context.Context) (Outcome, error) {
	var outcome Outcome
	request := decisionRequest{
		Placements: []placementID{{v.Placements[rand.IntN(len(v.Placements))]}},
		Keywords:   map[string][]string{"section": {sections[rand.IntN(len(sections))]}},
	}
	agent := agents[rand.IntN(len(agents))]
	request.Device.UA = agent
	request.Device.IP = fmt.Sprintf(networks[rand.IntN(len(networks))], 1+rand.IntN(254))
	var response decisionResponse
	if err := v.post(ctx, "/v1/decisions", request, &response); err != nil {
		return outcome, err
	}
	if len(response.Decisions) == 0 || response.Decisions[0].NoFill != "" {
		return outcome, nil
	}
	outcome.Filled = true
	if rand.Float64() >= v.SeenShare {
		return outcome, nil
	}
	for _, url := range response.Decisions[0].Impressions {
		if err := v.get(ctx, url, agent, http.StatusOK); err != nil {
			return outcome, err
		}
	}
	outcome.Seen = true
	if rand.Float64() >= v.ClickShare {
		return outcome, nil
	}
	outcome.Clicked = true
	return outcome, v.get(ctx, response.Decisions[0].Click, agent, http.StatusFound)
}

func (v *Visitors) post(ctx context.Context, path string, body, into any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, v.DeliveryURL+path, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := v.Client.Do(request)
	if err != nil {
		return err
	}
	defer drain(response)
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s: %s", path, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(into)
}

// get calls a tracking URL and does not follow where a click leads.
func (v *Visitors) get(ctx context.Context, url, agent string, want int) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", agent)
	response, err := v.Client.Do(request)
	if err != nil {
		return err
	}
	defer drain(response)
	if response.StatusCode != want {
		return fmt.Errorf("GET %.60s: %s", url, response.Status)
	}
	return nil
}

// drain reads a body to its end, so that the connection can be used again.
func drain(response *http.Response) {
	io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20))
	response.Body.Close()
}

// NewClient keeps connections open for that many workers and follows no redirect.
func NewClient(workers int) *http.Client {
	return &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: workers, MaxIdleConns: workers},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
