"The laws of each step of the course, on any sizes, and its figures against what is public.

What a piece has to do stands in nanogpt-hy.lessons.checks; here the checks are held against the
course, with the laws that need more than the piece alone: sizes at random, torch's own attention
and blocks, the lecture's published losses and parameter counts."

(eval-when-compile
  (require hyrule [ncut]))
(import  dataclasses [replace]
         math [log]
         hy
         pytest
         torch
         torch [nn]
         torch.testing [assert-close]
         hypothesis [given settings strategies :as st]
         nanogpt-hy.config [GPTConfig]
         nanogpt-hy.course :as course
         nanogpt-hy.course [Bigram Block CharTokenizer Embed FeedForward GPT Head Heads
                            LanguageModel MultiHeadAttention PreNorm Residual adamw attend
                            attention-weights average-cumulative average-loop average-matmul
                            average-softmax causal cross-entropy draw-batch evaluate examples
                            generate gpt-body normal-init split train-step windows]
         nanogpt-hy.lessons.checks [CHECKS]
         nanogpt-hy.lessons.checks.attention [check-average]
         nanogpt-hy.lessons.checks.batches [check-split check-tokenizer check-windows]
         nanogpt-hy.lessons.checks.causality [check-causal check-causal-model check-position-wise]
         nanogpt-hy.lessons.checks.dropout [check-attention-dropout])

;; the shared machines that run this are slow at times, and that is no error
(setv unhurried (settings :deadline None :max-examples 30)
      brief     (settings :deadline None :max-examples 8)
      texts     (st.text (st.characters :exclude-categories ["Cs"]) :min-size 1)
      sizes     (st.integers 1 9))

(setv SMALL (GPTConfig :vocab-size 5 :block-size 4 :n-layer 1 :n-head 2 :n-embd 8))

(defn parameters [model]
  (sum (gfor  p (.parameters model)  (.numel p))))

(defn ids [vocab-size #* shape]
  (torch.randint vocab-size shape))

(defn [(pytest.mark.parametrize "name" CHECKS)] test-piece [name]
  ((get CHECKS name) (getattr course (hy.mangle name))))


;;; Steps 1 and 2: any text, any sizes

(defn [unhurried (given texts)] test-tokenizer [text]
  (check-tokenizer CharTokenizer :text text))

(defn [unhurried (given texts texts)] test-unknown-characters-are-no-tokens [text other]
  (setv tokenizer (CharTokenizer text))
  (if (<= (set other) (set text))
    (assert (= (.decode tokenizer (.encode tokenizer other)) other))
    (with [(pytest.raises KeyError)]
      (.encode tokenizer other))))

(defn [unhurried (given (st.integers 0 3,000))] test-split [length]
  (check-split split :length length))

(defn [unhurried (given sizes sizes (st.data))] test-windows [block-size room data]
  (setv starts (data.draw (st.lists (st.integers 0 (- room 1)) :min-size 1))
        last-one (- room 1))                   ; the last start that leaves a target
  (check-windows windows :length (+ block-size room) :block-size block-size
                 :starts [#* starts last-one]))

(defn [unhurried (given sizes sizes sizes)] test-draw-batch [block-size room batch-size]
  (setv data  (torch.arange (+ block-size room))
        [x y] (draw-batch data :batch-size batch-size :block-size block-size))
  (assert (torch.equal y (+ x 1)))
  (assert (= x.shape #(batch-size block-size))))

(defn test-a-text-without-room-for-a-target-is-refused []
  (with [(pytest.raises RuntimeError)]
    (draw-batch (torch.arange 8) :batch-size 1 :block-size 8)))

(defn test-a-batch-is-independent-examples []
  "B rows of T tokens are B*T examples: contexts of 1 to T tokens, each with its target."
  (setv [x y] (windows (torch.arange 10) (torch.tensor [0 5]) 4)
        pairs (lfor  [row targets] (zip x y)
                     [context target] (examples row targets)
                     [(.tolist context) (int target)]))
  (assert (= (len pairs) 8))
  (assert (= (get pairs 6) [[5 6 7] 8])))


;;; Steps 3 to 5: the bigram, writing, learning

(defn test-bigram-learns-the-true-transitions []
  "Trained on a text in which c follows b always, and a follows c: the table says so, softmaxed."
  (torch.manual-seed 1)
  (setv data  (torch.tensor (* [0 1 2] 50))
        model (Bigram 3)
        adam  (adamw model :learning-rate 0.1))
  (for [_ (range 100)]
    (train-step model adam (draw-batch data :batch-size 8 :block-size 4)))
  (setv p (torch.softmax model.table.weight :dim -1))
  (assert-close p (get (torch.eye 3) (torch.tensor [1 2 0])) :atol 0.02 :rtol 0.0))

(defn test-a-model-that-knows-nothing-has-the-log-of-its-vocabulary []
  (for [V [2 65 50,257]]
    (assert (= (.item (cross-entropy (torch.zeros 2 3 V) (ids V 2 3))) (pytest.approx (log V))))))

(defn [(pytest.fixture :scope "module")] text-ids [shakespeare]
  (setv text (.decode (.read-bytes shakespeare) "utf-8")
        tokenizer (CharTokenizer text))
  #(tokenizer (torch.tensor (.encode tokenizer text))))

(defn test-the-text [text-ids]
  "Tiny Shakespeare: 1,115,394 characters, 65 distinct; 1,003,854 to learn from."
  (setv [tokenizer data] text-ids
        [train val] (split data))
  (assert (= tokenizer.vocab-size 65))
  (assert (= [(len data) (len train) (len val)] [1,115,394 1,003,854 111,540])))

(defn lecture-losses [model train val steps * [interval 300] [learning-rate 1e-2]]
  "The lecture's loop, all draws from torch's one generator -> {step: [train loss, val loss]}."
  (defn draw [data]
    (draw-batch data :batch-size 32 :block-size 8))
  (setv adam (adamw model :learning-rate learning-rate)
        losses {})
  (for [step (range (+ steps 1))]
    (when (= (% step interval) 0)
      (setv (get losses step)
            (lfor  data [train val]  (.item (evaluate model (lfor  _ (range 200)  (draw data)))))))
    (train-step model adam (draw train)))
  losses)

(defn test-bigram-gives-the-published-losses [text-ids]
  "karpathy/ng-video-lecture, commit 83f7d22, seed 1337."
  (setv [tokenizer data] text-ids)
  (torch.manual-seed 1337)
  (setv losses (lecture-losses (Bigram tokenizer.vocab-size) #* (split data) 900))
  (assert (= (get losses 0)   (pytest.approx [4.7305 4.7241] :abs 0.0002)))
  (assert (= (get losses 900) (pytest.approx [2.4932 2.5088] :abs 0.0002))))

(defn test-embedding-gives-the-published-losses [text-ids]
  "The commit that adds positions, 28e5fd7: embedding and lm-head with nothing between them."
  (setv [tokenizer data] text-ids
        c (GPTConfig :vocab-size tokenizer.vocab-size :block-size 8 :n-embd 32))
  (torch.manual-seed 1337)
  (setv model  (LanguageModel c (fn [c] (nn.Identity)))
        losses (lecture-losses model #* (split data) 0))
  (assert (= (parameters model) 4,481))
  (assert (= (get losses 0) (pytest.approx [4.4801 4.4801] :abs 0.0002))))

(defn [unhurried (given sizes sizes (st.integers 0 20) (st.integers 0 9))]
      test-generate-goes-on [batch length count block-size]
  (setv model  (Bigram 5)
        prompt (ids 5 batch length)
        text   (generate model prompt count :block-size block-size))
  (assert (= text.shape #(batch (+ length count))))
  (assert (torch.equal (ncut text : (: length)) prompt)))

(defn test-generate-past-block-size []
  "A model with places for block-size tokens only goes on writing, and needs the crop for it."
  (setv model (GPT SMALL))
  (assert (= (. (generate model (ids 5 1 1) 20 :block-size 4) shape) #(1 21)))
  (with [(pytest.raises IndexError)]
    (generate model (ids 5 1 1) 20)))

(defn test-several-batches-are-one-large-batch []
  (setv model (GPT SMALL)
        x     (ids 5 6 4)
        y     (ids 5 6 4)
        still (torch.optim.SGD (.parameters model) :lr 0.0)
        whole (train-step model still [x y])
        large (lfor  p (.parameters model)  (.clone p.grad))
        parts (train-step model still #* (zip (.chunk x 3) (.chunk y 3)))
        small (lfor  p (.parameters model)  p.grad))
  (assert-close parts whole)
  (assert-close small large))

(defn test-evaluate-changes-nothing-that-is-trained []
  "Two runs, one of which is evaluated at each step: the same bits, with dropout on."
  (defn train [looks]
    (torch.manual-seed 3)
    (setv model (GPT (replace SMALL :dropout 0.3))
          adam  (adamw model))
    (for [_ (range 3)]
      (when looks
        (evaluate model [[(torch.zeros 2 4 :dtype torch.long) (torch.ones 2 4 :dtype torch.long)]]))
      (train-step model adam [(ids 5 2 4) (ids 5 2 4)]))
    (lfor  p (.parameters model)  p))
  (for [[seen unseen] (zip (train True) (train False))]
    (assert (torch.equal seen unseen))))


;;; Steps 6 to 9: averages and attention

(setv AVERAGES [average-loop average-matmul average-softmax average-cumulative])

(defn [unhurried (given sizes sizes sizes)] test-averages-are-equal [batch length n-embd]
  (setv x (torch.randn batch length n-embd))
  (for [average AVERAGES]
    (assert-close (average x) (average-loop x) :rtol 1e-4 :atol 1e-5)))

(defn [(pytest.mark.parametrize "average" AVERAGES)] test-average [average]
  (for [[batch length n-embd] [[1 1 1] [1 2 3] [3 2 1] [2 12 2]]]
    (check-average average :batch batch :length length :n-embd n-embd)))

(defn [unhurried (given sizes sizes sizes)] test-attention-is-an-average [batch length size]
  "With queries of 0 the head's weights are step 6's: all scores are equal."
  (setv x (torch.randn batch length size)
        y (attend (torch.zeros-like x) x x :mask (causal length)))
  (assert-close y (average-loop x) :rtol 1e-4 :atol 1e-5))

(defn [unhurried (given sizes sizes sizes sizes)] test-rows-sum-to-1 [batch T S size]
  (setv weights (attention-weights (torch.randn batch T size) (torch.randn batch S size)))
  (assert-close (.sum weights -1) (torch.ones batch T)))

(defn [unhurried (given sizes sizes sizes)] test-all-nodes-may-talk [batch length size]
  "Without a mask, tokens in another order give the same answers in that order."
  (setv x     (torch.randn batch length size)
        order (torch.randperm length)
        mixed (ncut x : order))
  (assert-close (attend mixed mixed mixed) (ncut (attend x x x) : order) :rtol 1e-4 :atol 1e-5))

(defn test-unscaled-scores-grow-with-the-head-size []
  "Why the root: sums of D products of unit variance have variance D, divided it is 1."
  (torch.manual-seed 0)
  (for [D [4 16 64 256]]
    (setv q (torch.randn 200 D)  k (torch.randn 200 D)
          spread (.item (.var (@ q k.T))))
    (assert (= (/ spread D) (pytest.approx 1 :rel 0.2)))))

(defn test-attention-dropout []
  (check-attention-dropout Head))

(defn carry [target source]
  "Copy weights into TARGET, a parameter of torch's own layers."
  (with [(torch.no-grad)]
    (.copy_ target source))
  None)

(defn carry-attention [theirs ours]
  "MultiHeadAttention's weights into nn.MultiheadAttention, which has q, k, v of all heads in one."
  (for [[n name] (enumerate ["query" "key" "value"])]
    (setv rows (torch.cat (lfor  head ours.heads.heads  (. (getattr head name) weight))))
    (carry (get (.chunk theirs.in-proj-weight 3) n) rows))
  (carry theirs.in-proj-bias (torch.zeros-like theirs.in-proj-bias))
  (carry theirs.out-proj.weight ours.project.weight)
  (carry theirs.out-proj.bias ours.project.bias))

(defn hidden [T]
  "torch's masks are true where ours are false: true means that it may not look."
  (bnot (causal T)))

(defn [brief (given sizes sizes (st.integers 1 4) sizes)]
      test-torch-has-the-same-attention [batch length n-head size]
  (setv n-embd (* n-head size)
        ours   (MultiHeadAttention n-embd n-head)
        theirs (nn.MultiheadAttention n-embd n-head :batch-first True)
        x      (torch.randn batch length n-embd))
  (carry-attention theirs ours)
  (setv [y _] (theirs x x x :attn-mask (hidden length)))
  (assert-close (ours x) y :rtol 1e-4 :atol 1e-5))

(defn [brief (given sizes sizes (st.integers 1 4) (st.integers 2 6))]
      test-torch-has-the-same-block [batch length n-head size]
  (setv n-embd (* n-head size)
        ours   (Block n-embd n-head)
        theirs (nn.TransformerEncoderLayer n-embd n-head :dim-feedforward (* 4 n-embd) :dropout 0.0
                                           :batch-first True :norm-first True)
        talk   ours.talk.layer
        think  ours.think.layer
        x      (torch.randn batch length n-embd))
  (for [norm [talk.norm think.norm]]
    (nn.init.normal_ norm.weight)
    (nn.init.normal_ norm.bias))
  (carry-attention theirs.self-attn talk.layer)
  (for [[layer source] [[theirs.norm1 talk.norm]            [theirs.norm2 think.norm]
                        [theirs.linear1 think.layer.widen]  [theirs.linear2 think.layer.narrow]]]
    (.load-state-dict layer (.state-dict source)))
  (assert-close (ours x) (theirs x :src-mask (hidden length)) :rtol 1e-3 :atol 1e-4))


;;; Steps 10 to 12: blocks and the whole model

(defn test-gradient-reaches-the-embedding-of-a-deep-stack []
  "Forty blocks: with residuals the first layer learns at once, without them hardly anything."
  (defn reach [wrap]
    (torch.manual-seed 0)
    (setv x (.requires-grad_ (torch.randn 1 4 8))
          layers (lfor  _ (range 40)  (wrap (FeedForward 8)))
          y ((nn.Sequential #* layers) x))
    (.backward (.sum y))
    (.item (.mean (abs x.grad))))
  (assert (> (reach Residual) 0.5))
  (assert (< (reach (fn [layer] layer)) 1e-6)))

(defn [unhurried (given sizes sizes (st.integers 2 9))] test-layer-norm-is-torchs-formula [B T C]
  "Mean 0 and spread 1 over the features of one position, by hand."
  (setv x (torch.randn B T C)
        [variance mean] (torch.var-mean x :dim -1 :keepdim True :correction 0)
        y ((PreNorm C (nn.Identity)) x))
  (assert-close y (/ (- x mean) (.sqrt (+ variance 1e-5))) :rtol 1e-4 :atol 1e-5))

(defn test-dropout-at-three-places []
  "In a block of two heads: on each head's shares, after the projection, after feed-forward."
  (setv block  (Block 8 2 :dropout 0.25)
        seen   []
        places {"talk.layer.layer.heads.heads.0.drop" #(1 5 5)
                "talk.layer.layer.heads.heads.1.drop" #(1 5 5)
                "talk.layer.layer.drop"               #(1 5 8)
                "think.layer.layer.drop"              #(1 5 8)})
  (for [[name layer] (.named-modules block)  :if (isinstance layer nn.Dropout)]
    (assert (= layer.p 0.25))
    (.register-forward-hook layer (fn [layer inputs y [name name]]
                                    (.append seen #(name (tuple y.shape))))))
  (block (torch.randn 1 5 8))
  (assert (= (dict seen) places)))

(setv LAYERS {"Head"               (Head 6 3)
              "Heads"              (Heads 6 2)
              "MultiHeadAttention" (MultiHeadAttention 6 2)
              "FeedForward"        (FeedForward 6)
              "PreNorm"            (PreNorm 6 (nn.Identity))
              "Residual"           (Residual (MultiHeadAttention 6 3))
              "Block"              (Block 6 3)
              "gpt-body"           (gpt-body (replace SMALL :n-embd 6))})

(defn [(pytest.mark.parametrize "name" LAYERS)] test-layers-are-causal [name]
  (for [[batch length] [[1 1] [1 2] [3 9]]]
    (check-causal (get LAYERS name) 6 :batch batch :length length)))

(defn [(pytest.mark.parametrize "name" ["FeedForward" "PreNorm"])] test-no-place-sees-another [name]
  (check-position-wise (get LAYERS name) 6))

(defn [brief (given (st.integers 1 3) (st.integers 1 3) (st.integers 1 4) (st.integers 1 6))]
      test-models-are-causal [n-layer n-head size block-size]
  (setv c (GPTConfig :vocab-size 5 :block-size block-size :n-layer n-layer :n-head n-head
                     :n-embd (* n-head size)))
  (for [model [(Bigram 5) (LanguageModel c (fn [c] (nn.Identity))) (GPT c)]]
    (check-causal-model model 5 :length block-size)
    (check-causal-model model 5 :length 1 :batch 1)))

(defn test-position-is-added-to-the-token []
  (setv embed (Embed 5 4 3)
        x     (torch.tensor [[0 3 3] [1 1 2]]))
  (for [b (range 2)  t (range 3)]
    (assert-close (get (embed x) #(b t))
                  (+ (get embed.token.weight (get x #(b t))) (get embed.position.weight t)))))

(defn test-parameters-of-the-lecture []
  "karpathy/ng-video-lecture: 0016836, and scaled up 482b15d."
  (defn count [#** sizes]
    (with [(torch.device "meta")]                      ; shapes without numbers
      (parameters (GPT (GPTConfig :vocab-size 65 #** sizes)))))
  (assert (= (count :block-size 8 :n-layer 3 :n-head 4 :n-embd 32) 42,369))
  (assert (= (count :block-size 256 :n-layer 6 :n-head 6 :n-embd 384) 10,788,929)))

(defn test-normal-init-starts-at-guessing []
  "Small weights make all tokens nearly equally likely: the first loss is ln V."
  (torch.manual-seed 0)
  (setv c (GPTConfig :vocab-size 65 :block-size 32 :n-layer 4 :n-head 4 :n-embd 64)
        x (ids 65 8 32)
        y (ids 65 8 32)
        drawn-by-torch (.item (cross-entropy ((GPT c) x) y))
        drawn-small    (.item (cross-entropy ((.apply (GPT c) normal-init) x) y)))
  (assert (= drawn-small (pytest.approx (log 65) :abs 0.05)))
  (assert (> drawn-by-torch (+ drawn-small 0.05))))
