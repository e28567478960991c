"Counting models: what followed what in a text, and how well that foretells another text."

;; In the shapes below N and M are numbers of tokens and V is the size of the vocabulary. A gram is
;; a run of order + 1 tokens, a context and what followed it, held as one number in base V.

(eval-when-compile
  (require hyrule [unless]))
(import  numpy :as np
         nanogpt-hy.errors [RequestError])

(setv COUNTED 2,000,000         ; tokens of a part that are looked at
      HIGHEST 3                 ; order of the models that others are measured against
      ;; What a model of each order counts, as JSON has its keys:
      COUNTED-KINDS {"0" "single tokens"  "1" "pairs"  "2" "triples"  "3" "runs of four"})

(defn count-loss [train-ids ids vocab-size order * [smoothing 0.1]]
  "(N) (M) ids -> nats per token: the loss on `ids` of counting what followed `order` tokens.
  p = (times token followed context + smoothing) / (times context was seen + smoothing V), counted
  in train-ids. The first `order` tokens of `ids` have no whole context and are left out of the
  mean. Without smoothing, something never seen makes the loss infinite."
  (check-counting vocab-size order smoothing)
  (setv known (grams train-ids vocab-size order)                            ; (N - order)
        asked (grams ids vocab-size order)                                  ; (M - order)
        times (+ (counts known asked) smoothing)
        total (+ (counts (// known vocab-size) (// asked vocab-size)) (* smoothing vocab-size)))
  (with [(np.errstate :divide "ignore")]
    (float (np.mean (np.log (/ (np.where (> total 0) total 1) times))))))

(defn counting-loss [corpus order]
  "Corpus, int -> nats per token: the loss on its validation part of counting in its training part,
  in the first COUNTED tokens of each: a long text is not read just to say this."
  (count-loss #* (gfor  ids [corpus.train corpus.val]  (np.asarray (cut ids COUNTED)))
              corpus.tokenizer.vocab-size order))

(defn counting-losses [corpus]
  "Corpus -> {order: nats per token}: `counting-loss` of each order up to HIGHEST that this text and
  its vocabulary let be counted."
  (dfor  order (range (+ HIGHEST 1))
         :if (and (countable corpus.tokenizer.vocab-size order)
                  (< order (min (len corpus.train) (len corpus.val))))
         order (counting-loss corpus order)))

(defn grams [ids vocab-size order]
  "(N) -> (N - order): each run of order + 1 tokens as one number: context times V plus the last."
  (setv ids   (np.asarray ids)
        count (- ids.size order))
  (when (< count 1)
    (raise (RequestError (+ f"{ids.size} tokens are too few to count order {order}, which needs "
                            f"{(+ order 1)}: use a longer text or a smaller order"))))
  (unless (and (<= 0 (.min ids)) (< (.max ids) vocab-size))
    (raise (RequestError (+ f"the ids go from {(.min ids)} to {(.max ids)}, not from 0 to "
                            f"{(- vocab-size 1)}: encode the text with this vocabulary"))))
  (setv out (np.zeros count "i8"))
  (for [i (range (+ order 1))]
    (setv out (+ (* out vocab-size) (cut ids i (+ i count)))))
  out)

(defn counts [known asked]
  "(N) (M) -> (M): how often each number asked for is among those known."
  (setv [values times] (np.unique known :return-counts True)
        place          (np.minimum (np.searchsorted values asked) (- (len values) 1)))
  (np.where (= (get values place) asked) (get times place) 0))

(defn countable [vocab-size order]
  "ints -> bool: whether all contexts of this order, with what follows, are numbers of 63 bits."
  (and (>= order 0) (<= (** vocab-size (+ order 1)) (** 2 63))))

(defn check-counting [vocab-size order smoothing]
  "ints, a float -> None: RequestError unless the order's contexts can be numbered, and the
  smoothing adds."
  (unless (countable vocab-size order)
    (setv highest (max (gfor  n (range 63)  :if (countable vocab-size n)  n)
                       :default 0))
    (raise (RequestError (+ f"order {order} with a vocabulary of {vocab-size} cannot be counted in "
                            f"63 bits: use an order from 0 to {highest}"))))
  (unless (>= smoothing 0)
    (raise (RequestError f"the smoothing is {smoothing}, below 0: use for example 0.1"))))
