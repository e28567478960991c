"What a model expects, and how it holds its tokens apart: the next token, and the embeddings."

(eval-when-compile
  (require hyrule [-> ncut unless]))
(import  torch
         torch.nn.functional :as F
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.data.markov [entropy]
         nanogpt-hy.lab.filters [filtered-probabilities]
         nanogpt-hy.lab.inside.subject [alphabet labels logits-of prompt-ids shown subject tables])

(setv MOST-COSINES 128)      ; tokens or positions whose similarities are listed

;;; The next token

(defn next-characters [model prompt * [tokenizer None] [temperature 1.0] [top-k 0] [top-p 1.0]]
  "model, str -> dict: every token with its logit, its probability of coming next after PROMPT, and
  that probability after the sampler's filters. `logits` has what comes after each token of it."
  (setv about (subject model tokenizer)
        [ids cut-off] (prompt-ids about prompt)
        logits (get (logits-of about [ids]) 0)                            ; (T V)
        before (filtered-probabilities (ncut logits -1))                  ; (V)
        after  (filtered-probabilities (ncut logits -1) :temperature temperature
                                       :top-k top-k :top-p top-p))
  {"kind" "next"
   "question" (+ f"What comes after {(shown prompt)}? How far ahead is the likeliest, and what do "
                 "the filters leave?")
   "prompt" (shown prompt)  "left_out" cut-off  "context" (labels about.tokenizer ids)
   "tokens" (alphabet about)
   "temperature" temperature  "top_k" top-k  "top_p" top-p
   "logits" (.tolist logits)  "before" (.tolist before)  "after" (.tolist after)
   "entropy" (float (entropy (.numpy before)))})

;;; Embeddings

(defn projected [vectors]
  "(N C) -> (N 2) (2): the plane in which the vectors differ most, and its axes' shares of how they
  differ: principal components, by singular values."
  (setv x (.double (.cpu vectors))
        x (- x (.mean x :dim 0))
        [U S V] (torch.linalg.svd x :full-matrices False)
        shares (/ (** S 2) (.clamp (.sum (** S 2)) :min 1e-300))
        points (F.pad (* U S) [0 2])                                      ; one vector has no plane
        points (ncut points : :2)
        ;; An axis has no sign of its own: the vector that lies farthest out is put to the right.
        far (.gather points 0 (.argmax (.abs points) :dim 0 :keepdim True)))
  [(* points (torch.where (< far 0) -1.0 1.0))
   (ncut (F.pad shares [0 2]) :2)])

(defn group [what names vectors]
  "(N C) -> dict: the vectors' places in a plane, and the cosines of the angles between them."
  (setv some (F.normalize (.double (.cpu (cut vectors MOST-COSINES))) :dim -1)
        [points shares] (projected vectors))
  {"what" what  "labels" names  "points" (.tolist points)  "shares" (.tolist shares)
   "cosines" (.tolist (@ some (.t some)))})

(defn [(torch.no-grad)] embeddings [model * [tokenizer None]]
  "model -> dict: its token vectors, and its position vectors where it has them, in a plane each."
  (setv about (subject model tokenizer)
        found (tables about.model))
  (unless found
    (raise (RequestError f"{about.name} has no table of embeddings: use a stage of the ladder")))
  (setv names (alphabet about)
        groups [(group "tokens" names (. found [0] weight))])
  (when (> (len found) 1)
    (setv places (. found [1] weight))
    (.append groups (group "positions" (lfor  t (range 1 (+ 1 (len places)))  f"{t}") places)))
  {"kind" "embeddings"
   "question" (+ "Which tokens lie close together, and do they come in the same places of the "
                 "text? Do neighbouring positions lie in a row?")
   "groups" groups})
