"From logits to the probabilities to draw from: temperature, top-k, top-p, and what they may be."

(eval-when-compile
  (require hyrule [ncut unless]))
(import  math [inf]
         torch
         torch.nn.functional :as F
         nanogpt-hy.config [finite shown whole]
         nanogpt-hy.errors [RequestError WorkError])


;;; What may be asked

(defn demand [holds option value limit]
  "RequestError unless HOLDS: the option, its value, and what it may be."
  (unless holds
    (raise (RequestError f"{option} is {(shown value)}: it has to be {limit}"))))

(defn check-filters [temperature top-k top-p]
  "RequestError if one of them is nothing to filter with."
  (demand (and (finite temperature) (>= temperature 0))
          "--temperature" temperature "a number, 0 (always the likeliest token) or more")
  (demand (whole top-k :most inf) "--top-k" top-k "a whole number, 0 (all tokens) or more")
  (demand (and (finite top-p) (< 0 top-p) (<= top-p 1))
          "--top-p" top-p "more than 0 and at most 1 (all tokens)"))


;;; The filters

(defn check-logits [logits]
  "WorkError if nothing can be drawn from LOGITS: their largest is no number."
  (unless (.all (torch.isfinite (.amax logits :dim -1)))
    (raise (WorkError (+ "the model gives no probabilities for the next token, so its weights are "
                         "not finite: use another checkpoint")))))

(defn tempered [logits temperature]
  "(... V) -> (... V): the logits of a more careful (below 1) or more daring (above 1) model."
  ;; Measured from the largest, and divided by what float32 can hold, nothing becomes 0/0.
  (if (= temperature 1)
    logits
    (/ (- logits (.amax logits :dim -1 :keepdim True)) (min 1e30 (max temperature 1e-30)))))

(defn among-top-k [scores k]
  "(... V) -> (... V) bool: the k largest, and all that equal the k-th."
  (setv largest (. (torch.topk scores (min k (get scores.shape -1)) :dim -1) values))    ; (... k)
  (>= scores (ncut largest ... (: -1 None))))

(defn among-top-p [probabilities p]
  "(... V) -> (... V) bool: the likeliest, as few as together reach p; of equals the first ones."
  (setv [ordered places] (torch.sort probabilities :dim -1 :descending True :stable True)
        sums   (.cumsum ordered :dim -1)                    ; (... V)
        before (F.pad (ncut sums ... (: None -1)) [1 0])    ; (... V) the sum of all likelier ones
        least  (. (torch.finfo sums.dtype) tiny))           ; a smaller p would be taken for 0
  (.scatter (torch.zeros-like places :dtype torch.bool) -1 places (< before (max p least))))

(defn filtered-probabilities [logits * [temperature 1.0] [top-k 0] [top-p 1.0]]
  "(... V) -> (... V): the probabilities to draw from, after temperature, top-k and top-p.

  They follow one upon the other, each upon what the one before has left. Temperature 0 takes the
  likeliest token, the first one of equals. Top-k 0 is off, more than V is V, and tokens that equal
  the k-th stay: none is preferred to one that is just as likely. Top-p keeps the fewest tokens
  whose probabilities reach p, so always one. These are the conventions of nanoGPT (which has no
  top-p) and of Hugging Face's TopKLogitsWarper and TopPLogitsWarper."
  (check-filters temperature top-k top-p)
  (check-logits logits)
  (when (= temperature 0)
    (return (.to (F.one-hot (.argmax logits :dim -1) (get logits.shape -1)) torch.float32)))
  (when (in logits.dtype [torch.float16 torch.bfloat16])
    (setv logits (.float logits)))            ; sums of rounded probabilities would miss p
  (setv scores (tempered logits temperature))
  (when top-k
    (setv scores (torch.where (among-top-k scores top-k) scores (- torch.inf))))
  (when (< top-p 1)
    (setv kept (among-top-p (F.softmax scores :dim -1) top-p)
          scores (torch.where kept scores (- torch.inf))))
  (F.softmax scores :dim -1))
