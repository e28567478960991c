"What each piece of the course has to do, as checks of any implementation of it.

A check takes an implementation, which is called as the course's own is: (check-windows windows).
It gives nothing where all is well, else it raises CheckFailed with a sentence that says what is
wrong and why it matters. CHECKS has them by the course's names. The tests call them on the course
and on a collection of wrong answers, the lessons on what a reader has written.

They look at what comes out and, where that cannot tell, at the names that the course gives to
weights (key, query, value, heads). They need nothing of the course, so it cannot prove itself."

(import  nanogpt-hy.lessons.checks.attention [check-attend check-attention-weights check-average
                                              check-causal-mask check-embed check-head
                                              check-heads check-language-model
                                              check-multi-head-attention]
         nanogpt-hy.lessons.checks.batches [check-draw-batch check-examples check-split
                                            check-tokenizer check-windows]
         nanogpt-hy.lessons.checks.training [check-bigram check-cross-entropy check-evaluate
                                             check-generate check-next-logits check-train-step]
         nanogpt-hy.lessons.checks.transformer [check-block check-feed-forward check-gpt
                                                check-normal-init check-pre-norm check-residual
                                                check-stack])

(setv CHECKS
  {"CharTokenizer"      check-tokenizer
   "split"              check-split
   "windows"            check-windows
   "examples"           check-examples
   "draw-batch"         check-draw-batch
   "Bigram"             check-bigram
   "cross-entropy"      check-cross-entropy
   "next-logits"        check-next-logits
   "generate"           check-generate
   "train-step"         check-train-step
   "evaluate"           check-evaluate
   "causal"             check-causal-mask
   "average-loop"       check-average
   "average-matmul"     check-average
   "average-softmax"    check-average
   "average-cumulative" check-average
   "Embed"              check-embed
   "LanguageModel"      check-language-model
   "attention-weights"  check-attention-weights
   "attend"             check-attend
   "Head"               check-head
   "Heads"              check-heads
   "MultiHeadAttention" check-multi-head-attention
   "FeedForward"        check-feed-forward
   "Residual"           check-residual
   "PreNorm"            check-pre-norm
   "Block"              check-block
   "stack"              check-stack
   "GPT"                check-gpt
   "normal-init"        check-normal-init})
